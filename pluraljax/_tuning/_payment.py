"""The two ends of a least subsidy's bracket: a payment that suffices, and a cost that none that suffices goes below.

Both are evaluated at whatever weights and prices a solver proposes; neither trusts it. One segment at a time, in NumPy.
"""

import numpy as np

# Room for rounding, as a share of the largest payoff, where a payment by action has to fit several states.
_ROUNDING = 1e-9


def payment_at(
    user: np.ndarray,
    provider: np.ndarray,
    weights: np.ndarray,
    offset: np.ndarray,
    inverse: float,
    allowed: float,
    by_action: bool,
) -> tuple[np.ndarray, bool]:
    """The least payment `[user action state]` at given weights w' and `inverse` 1 / sum w, and whether there is one.

    It keeps `|sum_i w'_i v_ij + s_j + c_j - inverse u_j|` within `allowed`: each entry is the one nearest to zero.
    """
    rest = inverse * user - np.tensordot(weights, provider, 1)
    if allowed == 0 and not by_action:
        # An exact fit leaves the offset free: the mean is the cheapest one.
        offset = rest.mean(axis=(1, 2))
    rest = rest - offset[:, None, None]
    low, high = rest - allowed, rest + allowed
    if by_action:
        low, high = low.max(axis=2, keepdims=True), high.min(axis=2, keepdims=True)
        low, high = np.broadcast_to(low, user.shape), np.broadcast_to(high, user.shape)
    fits = bool((low <= high + _ROUNDING * (1.0 + np.abs(rest).max())).all())
    return np.where(low > 0, low, np.where(high < 0, high, 0.0)), fits


def cost_of(payment: np.ndarray, mass: np.ndarray) -> float:
    """Half the mass-weighted sum of squares."""
    return float(0.5 * np.einsum("j,jay->", mass, payment**2))


def least_cost(
    user: np.ndarray,
    provider: np.ndarray,
    mass: np.ndarray,
    prices: np.ndarray,
    target: float,
    least: float,
    by_action: bool,
) -> float:
    """A cost that no payment which suffices goes below, for ANY prices y `[user action state]` of its entries.

    `cost(s) >= <y, s> - cost*(y)`, and for y that sum to zero per user, `<y, s>` is at least
    `inverse (<y, u> - target |y|_1) - max_i <y, v_i>`, whose least value over `inverse >= least` is at `least` where
    the bracket is not negative. Where it is, prices are first moved along the users' payoffs until it is not.
    """
    centre = lambda values: values - values.mean(axis=(-2, -1), keepdims=True)
    slope_at = lambda prices: float((prices * user).sum() - target * np.abs(prices).sum())
    prices, along = centre(prices), centre(user)
    if slope_at(prices) < 0:
        gained = float((along**2).sum() - target * np.abs(along).sum())
        if gained <= 0:
            return 0.0
        # A little too far, so that rounding does not leave it below zero: then nothing would be proved.
        short = -slope_at(prices) + 1e-14 * float(np.abs(prices * user).sum())
        prices = prices + short / gained * along
    slope = slope_at(prices)
    if slope < 0:
        return 0.0
    per_entry = prices.sum(axis=2) ** 2 / user.shape[2] if by_action else (prices**2).sum(axis=2)
    conjugate = float(0.5 * (per_entry.sum(axis=1) / mass).sum())
    return max(0.0, slope * least - float(np.tensordot(provider, prices, 3).max()) - conjugate)
