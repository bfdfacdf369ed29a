"""Conic markets: users are aligned with the providers up to a perturbation of known size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import DECISION, Family, choice, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market


@register("conic")
@no_type_check
@dataclass(frozen=True, kw_only=True)
class Conic(Family):
    """Alignment by construction: `u_j = sum_i w_ij v_ij + c_j + perturbation * R_j`.

    The entries of `v_ij` are standard normal, `w >= 0`, and every `R_j` has minimum -1 and maximum 1, so the weak
    alignment error of every user is at most `perturbation`, and so is the strong one under common weights.

    **Arguments:**

    - `providers`, `users`: how many there are; at least 1.
    - `actions`: of each user; at least 2.
    - `states`: at least 1.
    - `perturbation`: half the range of the residual, in units of utility; at least 0.
    - `residual`: law of `R_j`: `"uniform"`, independent uniform entries stretched to [-1, 1], or `"extremal"`, entries
      -1 and 1 placed so that no weights do better: these errors then equal `perturbation`. This needs
      `actions * states >= providers + 2`.
    - `weights`: `"per_user"`, each user has her own, or `"common"`, one `w_i` for all users.
    - `weight_sum`: sum of a user's weights, which are uniform on the simplex of that size; positive. At 1, everything
      said of cone weights holds for hull weights too.
    - `offset`: standard deviation of `c_j`, normal with mean 0; at least 0.
    - `prior`: of the state, `"uniform"` or `"dirichlet"` (a flat Dirichlet draw per user).
    """

    providers: int = whole(3, least=1)
    users: int = whole(2, least=1)
    actions: int = whole(3, least=2, reason=DECISION)
    states: int = whole(3, least=1)
    perturbation: float = real(0.0, least=0.0)
    residual: Literal["uniform", "extremal"] = choice("uniform", "extremal")
    weights: Literal["per_user", "common"] = choice("per_user", "common")
    weight_sum: float = real(1.0, above=0.0)
    offset: float = real(1.0, least=0.0)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")

    def __post_init__(self):
        super().__post_init__()
        if self.residual == "extremal" and self.actions * self.states < self.providers + 2:
            raise ValueError(
                'conic: residual="extremal" needs actions * states >= providers + 2, so that a direction is left that '
                f"no provider can reach; got {self.actions} * {self.states} with providers={self.providers}."
            )

    def draw(self, key: Any) -> "Market":
        """Draws one market with `u_j = sum_i w_ij v_ij + c_j + perturbation * R_j` (design 7)."""
        import jax.random as jr

        from .._market import observed_market
        from ._draws import normals, ordered_sum, simplex, state_prior, uniforms

        value_key, weight_key, residual_key, prior_key = jr.split(key, 4)
        users = self.users
        shape = (self.providers, users, self.actions, self.states)
        provider_value, offset = normals(value_key, shape, (users, 1, 1))
        draws = 1 if self.weights == "common" else users
        (chance,) = uniforms(weight_key, (self.providers, draws))
        weights = self.weight_sum * simplex(chance)
        user_value = ordered_sum(weights[:, :, None, None] * provider_value) + self.offset * offset
        if self.perturbation > 0:
            residual = _extremal if self.residual == "extremal" else _stretched
            user_value = user_value + self.perturbation * residual(residual_key, provider_value)
        prior = state_prior(prior_key, self.prior, users, self.states)
        return observed_market(user_value, provider_value, prior)


def _stretched(key: Any, provider_value: Any) -> Any:
    """Draws uniform entries, `[user action state]`, and stretches them to minimum -1 and maximum 1 per user."""
    from ._draws import uniforms

    (entries,) = uniforms(key, provider_value.shape[1:])
    low = entries.min(axis=(1, 2), keepdims=True)
    high = entries.max(axis=(1, 2), keepdims=True)
    return 2.0 * (entries - low) / (high - low) - 1.0


def _extremal(key: Any, provider_value: Any) -> Any:
    """Draws the signs, `[user action state]`, of a random direction orthogonal to constants and to every `v_ij`.

    Call the direction mu. For any weights and offset the residual has `<mu, .> = |mu|_1` times the perturbation, so
    its sup-norm is no smaller than the perturbation.
    """
    import jax.numpy as jnp

    from ._draws import normals

    providers, users, actions, states = provider_value.shape
    entries = (users, actions * states)
    reachable = provider_value.reshape(providers, *entries)
    (direction,) = normals(key, (1, *entries))
    columns = jnp.concatenate([jnp.ones((1, *entries), jnp.float64), reachable, direction])
    basis = jnp.linalg.qr(jnp.moveaxis(columns, 0, -1))[0]
    return jnp.where(basis[..., -1] > 0, 1.0, -1.0).reshape(users, actions, states)
