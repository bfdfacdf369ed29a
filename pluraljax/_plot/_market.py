"""Pictures of one market: the curves behind a user's equilibria, and what a policy recommends."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .._arguments import described, instance_of
from .._printable import for_figures
from ._around import Legend, put_legend, put_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._conversation import Profile
    from .._frontier import FrontierCurve
    from .._market import Market
    from .._market_form import MarketNames

# Levels of a market's curve, from silent to aligned.
_LEVELS = 41
_LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"), ("#222222", "-"), ("#E69F00", "--"))
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "++++")
_FILLS = ("#0072B2", "#56B4E9", "#E69F00", "#FFFFFF", "#4A4A4A", "#009E73")
# Best actions differ by less than this share of the size of a user's stakes: profiles are made of rounded numbers.
_MEANT = 2.0**-36


def frontier_curve(
    ax: "Axes",
    curve: "FrontierCurve | Market",
    user: int = 0,
    provider: int | None = None,
    *,
    names: "MarketNames | dict[str, Any] | None" = None,
    legend: Legend = True,
) -> "Axes":
    """Draws the most that providers get by an offer that is worth at least so much to a user, from silent to aligned.

    The curves fall: what is better for her is worse for whoever wants something else. They are what
    `plx.frontier_curve` computes; bands lie between the two ends of its brackets, which are seldom wide enough to be
    seen.

    **Arguments:**

    - `ax`: where it is drawn.
    - `curve`: what `plx.frontier_curve` returns, or a market, of which it is asked at 41 levels.
    - `user`, `provider`: whose curve, by number; every provider's by default.
    - `names`: what users and providers are called, as `plx.study` takes them.
    - `legend`: whether lines are explained, and where, as for `shares_served`.

    **Returns:** `ax`. Payoffs are expected ones, the provider's per unit of the user's mass. Raises `ValueError` for a
    user or provider that the market does not have.

    Example::

        from matplotlib.figure import Figure

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.plot.frontier_curve(Figure().subplots(), market, user=1)
    """
    from .._frontier import FrontierCurve
    from .._frontier import frontier_curve as ask
    from .._market import Market
    from .._market_form import MarketNames

    if not isinstance(curve, FrontierCurve | Market):
        raise ValueError(f"curve must be a Market, or what plx.frontier_curve returns, got {described(curve)}.")
    is_market = isinstance(curve, Market)
    found = ask(curve, np.linspace(0.0, 1.0, _LEVELS)) if is_market else curve
    low, high = np.asarray(found.provider_value.lower), np.asarray(found.provider_value.upper)
    providers, users, _ = low.shape
    called = MarketNames.of(names, _numbered(users, providers, names))
    _check("user", user, users)
    chosen = range(providers) if provider is None else [_check("provider", provider, providers)]
    level = np.asarray(found.level)[user]
    for place, each in enumerate(chosen):
        colour, line = _LOOKS[place % len(_LOOKS)]
        ax.fill_between(level, low[each, user], high[each, user], color=colour, alpha=0.2, linewidth=0)
        ax.plot(level, high[each, user], color=colour, linestyle=line, label=for_figures(called.providers[each]))
    if is_market:
        for end, text, side in ((level[0], "silent", "left"), (level[-1], "aligned", "right")):
            ax.axvline(end, color="#606060", linestyle=":", linewidth=0.9)
            ax.annotate(
                text,
                (end, 1.0),
                xycoords=("data", "axes fraction"),
                fontsize="small",
                ha=side,
                va="bottom",
                color="#606060",
            )
    who = for_figures(called.users[user])
    put_title(ax, [f"What serving {who} costs providers", "the most that each gets by an offer worth so much", ""])
    ax.set(
        xlabel=f"worth of the offer to {who} (expected payoff)",
        ylabel="what the provider gets\n(expected payoff per user)",
    )
    if legend:
        put_legend(ax, legend)
    return ax


def policy(
    ax: "Axes",
    profile: "Profile",
    market: "Market",
    user: int = 0,
    provider: int | None = None,
    *,
    segment: int | None = None,
    names: "MarketNames | dict[str, Any] | None" = None,
    legend: Legend = True,
) -> "Axes":
    """Draws what a policy has a user do: a stacked bar for each evidence, as high as each action is likely after it.

    Signals after which she does the same are one piece of a bar: what is said does not matter, but what she does then.
    She does what is best for her given what she heard; among several best actions what the profile recommends, or else
    what the provider likes most. Users of several types are averaged.

    **Arguments:**

    - `ax`: where it is drawn.
    - `profile`: policies of one round with one query, such as those of `plx.equilibrium` and `plx.worst_equilibrium`
      (one user's row of it); `plx.play.in_one_round` makes one of several rounds.
    - `market`: the market that they are for.
    - `user`, `provider`: by number. The default provider is the one that the profile has her talk to, or else the
      first.
    - `segment`: of the user, where there are fewer segments than users and more than one.
    - `names`: what users, providers, actions and states are called, as `plx.study` takes them.
    - `legend`: whether colours are explained, and where, as for `shares_served`.

    **Returns:** `ax`. Raises `ValueError` where the profile does not fit the market, or has more to it than is drawn.

    Example::

        from matplotlib.figure import Figure

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        profile = plx.play.informative_profile(market, plx.anonymous(2))
        plx.plot.policy(Figure().subplots(), profile, market)
    """
    from .._conversation import Profile, check_profile
    from .._market import one_market
    from .._market_form import MarketNames

    market, profile = one_market("market", market, {}), instance_of(Profile)("profile", profile, {})
    kernel, *more = profile.rounds
    if more or np.shape(kernel)[-2] > 1:
        raise ValueError("policy draws conversations of one round with one query, and these have more.")
    check_profile(profile, market, None)
    providers, users, actions, states = np.shape(market.provider_value)
    called = MarketNames.of(names, MarketNames.numbered(users, providers, actions, states))
    _check("user", user, users)
    if provider is None:
        provider = 0 if profile.choice is None else int(np.asarray(profile.choice)[user])
    _check("provider", provider, providers)
    done = chances_of_actions(profile, market, user, provider, _segment(profile, user, users, segment))
    bottom = np.zeros(len(done))
    for action in np.flatnonzero(done.max(axis=0) > 0):
        look: dict[str, Any] = {"facecolor": _FILLS[action % 6], "hatch": _HATCHES[action % 6], "edgecolor": "#606060"}
        label = for_figures(called.actions[action])
        ax.bar(range(len(done)), done[:, action], 0.8, bottom, **look, linewidth=0.4, label=label)
        bottom += done[:, action]
    sees_state = len(done) == states and not np.any(np.asarray(market.prior) * (1 - np.eye(states)))
    evidence = called.states if sees_state else [str(place) for place in range(len(done))]
    ax.set_xticks(range(len(done)), [for_figures(each, 24) for each in evidence])
    who, whose = for_figures(called.users[user]), for_figures(called.providers[provider])
    put_title(ax, [f"What {who} does on the advice of {whose}", "by what the provider sees"])
    ax.set(xlabel="state" if sees_state else "evidence", ylabel="probability of each action", ylim=(0, 1))
    if legend:
        put_legend(ax, legend, reverse=True)
    return ax


def chances_of_actions(profile: Any, market: Any, user: int, provider: int, segment: int) -> np.ndarray:
    """How likely each action of a user is after each evidence, `[evidence action]`, if she talks to a provider."""
    kernel = np.asarray(profile.rounds[0], np.float64)[provider, segment, :, 0]
    kernel = kernel / kernel.sum(axis=1, keepdims=True)
    prior = np.asarray(market.prior, np.float64)[user]
    own, liked = (
        np.asarray(market.user_value, np.float64)[user],
        np.asarray(market.provider_value, np.float64)[provider, user],
    )
    done, weight = np.zeros((len(kernel), len(own))), np.zeros((len(kernel), 1))
    for kind, chance in enumerate(prior):
        stakes = np.einsum("xy,ay->xa", chance, own - own[:1])
        value, size = kernel.T @ stakes, kernel.T @ np.abs(stakes)
        best = value >= value.max(axis=1, keepdims=True) - _MEANT * size.max(axis=1, keepdims=True)
        action = np.where(best, kernel.T @ np.einsum("xy,ay->xa", chance, liked), -np.inf).argmax(axis=1)
        if profile.recommended is not None:
            told = np.asarray(profile.recommended)[provider, user, kind, 0]
            action = np.where((told >= 0) & best[np.arange(len(told)), told], told, action)
        seen = chance.sum(axis=1)[:, None]
        done += seen * kernel @ np.eye(len(own))[action]
        weight += seen
    # After what never happens she does what she would.
    return np.divide(done, weight, where=weight > 0, out=np.zeros_like(done))


def _segment(profile: Any, user: int, users: int, given: int | None) -> int:
    segments = profile.rounds[0].shape[1]
    if given is None:
        if segments not in (1, users):
            raise ValueError(f"segment must say which of {segments} segments user {user} is in.")
        return 0 if segments == 1 else user
    return _check("segment", given, segments)


def _check(name: str, value: Any, count: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < count:
        raise ValueError(f"{name} must be a number from 0 to {count - 1}, got {described(value)}.")
    return int(value)


def _numbered(users: int, providers: int, names: Any) -> "MarketNames":
    """Numbers for names; actions and states are in no picture of a curve, and as many as anybody names."""
    from .._market_form import MarketNames

    many = lambda axis: len(getattr(names, axis, names.get(axis, ()) if isinstance(names, dict) else ()))
    return MarketNames.numbered(users, providers, many("actions"), many("states"))
