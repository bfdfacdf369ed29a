"""Opposed markets: every provider wants what the user wants, or the opposite, more or less strongly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import DECISION, Family, choice, finite, flag, parameter, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market


def _matrix(value: Any) -> tuple[tuple[float, ...], ...] | None:
    """Converts nested sequences of finite numbers, all rows of one length, to tuples."""
    if value is None:
        return None
    rows = tuple(tuple(finite(entry) for entry in row) for row in value)
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise ValueError
    return rows


@register("opposed")
@no_type_check
@dataclass(frozen=True, kw_only=True)
class Opposed(Family):
    """Friends and foes: `v_ij = s_ij u_j` with signed `s_ij`; the entries of `u_j` are standard normal.

    Weak alignment holds with error 0 exactly when some provider is a friend (`s_ij > 0`); strong alignment is rare.

    **Arguments:**

    - `providers`, `users`: how many there are; at least 1. They must agree with `scales` where it is given.
    - `actions`: of each user; at least 2.
    - `states`: at least 1.
    - `positive`: probability that `s_ij > 0`; in [0, 1].
    - `log_spread`: standard deviation of `log |s_ij|`, which is normal with mean 0; at least 0.
    - `scales`: the matrix `s[provider][user]` itself, in place of random ones (`positive` and `log_spread` then have no
      effect). `[[1, -K], [-K, 1]]` with `common_decision` is the market in which anonymous silence is an equilibrium.
    - `common_decision`: whether all users face one decision problem, the same `u` and the same prior.
    - `prior`: of the state, `"uniform"` or `"dirichlet"` (a flat Dirichlet draw per user, or one for all of them).
    """

    providers: int = whole(2, least=1)
    users: int = whole(2, least=1)
    actions: int = whole(3, least=2, reason=DECISION)
    states: int = whole(3, least=1)
    positive: float = real(0.5, least=0.0, most=1.0)
    log_spread: float = real(1.0, least=0.0)
    scales: Sequence[Sequence[float]] | None = parameter(
        None, _matrix, "None or a matrix [provider][user] of finite numbers, given as nested lists"
    )
    common_decision: bool = flag(False)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")

    def __post_init__(self):
        super().__post_init__()
        if self.scales is not None:
            shape = (len(self.scales), len(self.scales[0]))
            if shape != (self.providers, self.users):
                raise ValueError(
                    f"opposed: scales[provider][user] must be {self.providers} x {self.users} "
                    f"(providers={self.providers}, users={self.users}), got {shape[0]} x {shape[1]}."
                )

    def draw(self, key: Any) -> "Market":
        """Draws one market with `v_ij = s_ij u_j` (design 7)."""
        import jax.numpy as jnp
        import jax.random as jr

        from .._market import observed_market
        from ._draws import normals, state_prior

        value_key, sign_key, prior_key = jr.split(key, 3)
        problems = 1 if self.common_decision else self.users
        shape = (self.actions, self.states)
        user_value, log_size = normals(value_key, (problems, *shape), (self.providers, self.users))
        prior = state_prior(prior_key, self.prior, problems, self.states)
        user_value = jnp.broadcast_to(user_value, (self.users, *shape))
        prior = jnp.broadcast_to(prior, (self.users, self.states))
        provider_value = self._draw_scales(sign_key, log_size)[:, :, None, None] * user_value[None]
        return observed_market(user_value, provider_value, prior)

    def _draw_scales(self, key: Any, log_size: Any) -> Any:
        """Makes `s_ij` from a random sign, positive with probability `positive`, and a size, unless they are given."""
        import jax.numpy as jnp
        import numpy as np

        from ._draws import uniforms

        if self.scales is not None:
            return jnp.asarray(np.array(self.scales, dtype=np.float64))
        size = jnp.exp(self.log_spread * log_size)
        (chance,) = uniforms(key, log_size.shape)
        return jnp.where(chance < self.positive, size, -size)
