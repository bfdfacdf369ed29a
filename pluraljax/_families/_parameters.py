"""The parameters of every family, with defaults, ranges and meanings. Imports no JAX: drawing is loaded when asked for.

The formulas are in the module of each family; what is known about each in closed form is in `docs/families.md`.
Run-time type checkers are told to leave these classes alone (`no_type_check`): `Family` checks their values itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import Family, choice, finite, flag, parameter, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market

_THREE = (
    "three points a side tell a quadratic payoff from a linear one, without which weak alignment error 0 "
    "would no longer mean that the user's ideal point is in the convex hull of the providers' points"
)
_DECISION = "with one action there is nothing to decide"


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

    def __call__(self, key: Any) -> "Market":
        from ._spatial import draw

        return draw(self, key)


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
    actions: int = whole(3, least=2, reason=_DECISION)
    states: int = whole(3, least=1)
    alignment: float = real(1.0)
    shared: float = real(0.0, least=0.0)
    idiosyncratic: float = real(1.0, least=0.0)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")

    def __call__(self, key: Any) -> "Market":
        from ._gaussian import draw

        return draw(self, key)


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
    actions: int = whole(3, least=2, reason=_DECISION)
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

    def __call__(self, key: Any) -> "Market":
        from ._opposed import draw

        return draw(self, key)


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
    actions: int = whole(3, least=2, reason=_DECISION)
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

    def __call__(self, key: Any) -> "Market":
        from ._conic import draw

        return draw(self, key)
