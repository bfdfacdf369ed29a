"""Gaussian markets: a provider's payoff is the user's, plus a bias that all share, plus one of its own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import DECISION, Family, choice, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market


@register("gaussian")
@no_type_check
@dataclass(frozen=True, kw_only=True)
class Gaussian(Family):
    """Correlated payoffs: `v_ij = alignment * u_j + shared * B_j + idiosyncratic * Z_ij`.

    Every entry of `u_j`, `B_j` and `Z_ij` is standard normal and independent. `B_j` is a bias that all providers share;
    `Z_ij` is a provider's own, and such biases cancel as providers are added.

    **Arguments:**

    - `providers`, `users`: how many there are; at least 1.
    - `actions`: of each user; at least 2.
    - `states`: at least 1.
    - `alignment`: weight of the user's own utility; may be negative.
    - `shared`, `idiosyncratic`: weights of the two biases; at least 0.
    - `prior`: of the state, `"uniform"` or `"dirichlet"` (a flat Dirichlet draw per user).
    """

    providers: int = whole(3, least=1)
    users: int = whole(2, least=1)
    actions: int = whole(3, least=2, reason=DECISION)
    states: int = whole(3, least=1)
    alignment: float = real(1.0)
    shared: float = real(0.0, least=0.0)
    idiosyncratic: float = real(1.0, least=0.0)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")

    def draw(self, key: Any) -> "Market":
        """Draws one market with `v_ij = alignment * u_j + shared * B_j + idiosyncratic * Z_ij` (design 7)."""
        import jax.random as jr

        from .._market import observed_market
        from ._draws import normals, state_prior

        value_key, prior_key = jr.split(key)
        shape = (self.users, self.actions, self.states)
        user_value, shared, own = normals(value_key, shape, shape, (self.providers, *shape))
        common = self.alignment * user_value + self.shared * shared
        prior = state_prior(prior_key, self.prior, self.users, self.states)
        return observed_market(user_value, common[None] + self.idiosyncratic * own, prior)
