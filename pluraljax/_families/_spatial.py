"""Spatial markets: quadratic losses around ideal points."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import Family, choice, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market

_THREE = (
    "three points a side tell a quadratic payoff from a linear one, without which weak alignment error 0 "
    "would no longer mean that the user's ideal point is in the convex hull of the providers' points"
)


@register("spatial")
@no_type_check
@dataclass(frozen=True, kw_only=True)
class Spatial(Family):
    """Ideal points in space: `u_j(a,y) = -|a - y - theta_j|^2` and `v_ij(a,y) = -|a - y - beta_ij|^2`.

    Weak alignment holds with error 0 exactly when `theta_j` is in the convex hull of the points `beta_ij`.

    **Arguments:**

    - `providers`, `users`: how many there are; at least 1.
    - `dimension`: dimension of the space; 1 to 16.
    - `bias`: `"absolute"`, a provider has one ideal point for everybody, or `"relative"`, one bias on top of each
      user's own ideal point.
    - `actions_per_side`, `states_per_side`: points of the two grids along each axis; at least 3. A market has
      `actions_per_side ** dimension` actions and `states_per_side ** dimension` states.
    - `action_extent`, `state_extent`: the grids fill the cubes `[-extent, extent]^dimension`; positive.
    - `user_spread`: standard deviation of each coordinate of `theta_j`; 0 puts every user at the centre.
    - `provider_spread`: standard deviation of each coordinate of a provider's ideal point or bias.
    - `prior`: of the state, `"uniform"` or `"dirichlet"` (a flat Dirichlet draw per user).
    """

    providers: int = whole(3, least=1)
    users: int = whole(1, least=1)
    # Already 3 ** 16 actions would be too many.
    dimension: int = whole(2, least=1, most=16)
    bias: Literal["absolute", "relative"] = choice("absolute", "relative")
    actions_per_side: int = whole(3, least=3, reason=_THREE)
    states_per_side: int = whole(3, least=3, reason=_THREE)
    action_extent: float = real(1.0, above=0.0)
    state_extent: float = real(1.0, above=0.0)
    user_spread: float = real(1.0, least=0.0)
    provider_spread: float = real(1.0, least=0.0)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")

    @property
    def num_payoffs(self) -> int:
        """How many numbers describe what one of its markets pays to users and providers."""
        return (self.providers + 1) * self.users * (self.actions_per_side * self.states_per_side) ** self.dimension

    def draw(self, key: Any) -> "Market":
        """Draws one market with `u_j(a,y) = -|a - y - theta_j|^2` and `v_ij(a,y) = -|a - y - beta_ij|^2` (design 7)."""
        import jax.numpy as jnp
        import jax.random as jr

        from .._market import observed_market
        from ._draws import normals, ordered_sum, state_prior

        point_key, prior_key = jr.split(key)
        users, providers, dimension = self.users, self.providers, self.dimension
        ideal, point = normals(point_key, (users, dimension), (providers, 1, dimension))
        ideal, point = self.user_spread * ideal, self.provider_spread * point
        if self.bias == "relative":
            point = point + ideal[None]
        point = jnp.broadcast_to(point, (providers, users, dimension))
        actions = grid(self.actions_per_side, self.action_extent, dimension)
        states = grid(self.states_per_side, self.state_extent, dimension)
        move = actions[:, None] - states[None]
        prior = state_prior(prior_key, self.prior, users, states.shape[0])

        def loss(points: Any) -> Any:
            """`-|move - point|^2`, `[*batch action state]`, of points `[*batch dimension]`."""
            miss = move.reshape((1,) * (points.ndim - 1) + move.shape) - points[..., None, None, :]
            return -ordered_sum(jnp.moveaxis(miss**2, -1, 0))

        return observed_market(loss(ideal), loss(point), prior)


def grid(points_per_side: int, extent: float, dimension: int) -> Any:
    """Lists the points, `[point dimension]`, of a cubic grid on `[-extent, extent]^dimension`, the last fastest."""
    import numpy as np

    side = np.linspace(-extent, extent, points_per_side)
    return np.stack(np.meshgrid(*[side] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
