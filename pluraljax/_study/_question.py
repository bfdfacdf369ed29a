"""Asks everything about one market that can be asked within seconds, and puts the answers together."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._activity import told_if_long
from .._arguments import PARTS, checked, finite_seconds, finite_slack, num_parts
from .._market import Market, market_status, one_market
from .._market_form import MarketNames
from .._segments import personalized
from .._served import UNDECIDED, intersected, is_served, served_level
from .._status import Status
from .._worst_shared import APART
from ._answer import Study
from ._changes import find_changes
from ._facts import (
    Arrays,
    Conditions,
    Search,
    ask_conditions,
    ask_guarantees,
    ask_worst,
    is_silence_equilibrium,
    range_of,
    rows_of,
    search_shared,
)
from ._parts import Scheme, UserAnswer, as_truth
from ._sentences import Known, market_reasons, market_sentence, user_reasons, user_sentence


@checked(market=one_market, delta=finite_slack, budget=num_parts, seconds=finite_seconds)
def study(
    market: Market,
    names: Any = None,
    *,
    delta: Any = 0.0,
    budget: int = PARTS,
    seconds: float = 0.0,
    file: str | None = None,
) -> Study:
    """Answers for one market whom competition serves, personalized and anonymous, why, and what would change it.

    A user is served where every delta-equilibrium gives her at least 99 % of the way from silent to aligned, which is
    what a scan counts by. Alignment conditions, guarantees and worst personalized equilibria are those of the questions
    of these names; the worst anonymous equilibrium is searched for on the host, as `worst_equilibrium` does it. The
    answer also says which payments would align providers (`least_subsidy`), and who would still be served after the
    exit of each provider.

    **Arguments:**

    - `market`: one market with concrete arrays.
    - `names`: what its users, providers, actions and states are called: a `MarketNames`, as `load_named_market` reads
      one, or a mapping such as `{"users": ["Ann", "Bo"]}`. Default: `user 0` and so on.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0.
    - `budget`: how many parts the search may look at; more can decide more, and takes longer. With 0, and for segments
      that are too large (`worst_equilibrium` says which), the anonymous half rests on guarantees and silence.
    - `seconds`: for how long the search may go on beyond `budget`, from its start, where the answer is open and the
      last half of its parts told more. How far it comes depends on the machine; `parts` of the answer says how far, and
      as the `budget` that number gives the same answer anywhere. Default: not at all.
    - `file`: the file that the market was read from. What the answer says to do next then are commands for it; default:
      calls in Python.

    **Returns:** a `Study`, which prints. Raises `ValueError` for a market whose values make no sense, with the sentence
    of its status. Where brackets stay open, it says so.

    Example::

        market = plx.families.opposed(providers=2, users=2, actions=2, states=2)(jax.random.key(0))
        print(plx.study(market, {"users": ["Ann", "Bo"]}))
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(market)):
        raise ValueError("study works on one market with concrete arrays: call it outside jit and vmap.")
    # One market is nothing for an accelerator.
    cpu = jax.default_device(jax.local_devices(backend="cpu")[0])
    with told_if_long("study: conditions, guarantees and worst equilibria"), jax.enable_x64(True), cpu:
        arrays: Arrays = tuple(  # pyright: ignore[reportAssignmentType]
            np.asarray(leaf, np.float64)
            for leaf in (market.prior, market.user_value, market.provider_value, market.mass)
        )
        market = Market(*arrays)
        _check_values(market)
        users, actions, states = market.user_value.shape
        numbered = MarketNames.numbered(users, market.num_providers, actions, states)
        named = MarketNames.of(names, numbered)
        return _answer(market, arrays, named, float(delta), Search(budget, seconds), file, names is not None)


def _check_values(market: Market) -> None:
    status = Status(int(market_status(market)))
    if status.is_valid:
        return
    arrays = {name: np.asarray(getattr(market, name)) for name in ("prior", "user_value", "provider_value", "mass")}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    where = f" ({', '.join(bad)})" if bad else ""
    raise ValueError(f"market makes no sense, its status is {status.name}{where}: {status.sentence}")


def _answer(
    market: Market,
    arrays: Arrays,
    names: MarketNames,
    delta: float,
    search: Search,
    file: str | None,
    has_names: bool,
) -> Study:
    users, providers = market.num_users, market.num_providers
    rows, payoff_range = rows_of(users, providers), range_of(arrays[1])
    conditions = ask_conditions(arrays)
    sure = ask_guarantees(arrays, rows, delta)
    worst = ask_worst(arrays, rows, delta)
    silent, aligned = conditions.silent, conditions.aligned
    shared = search_shared(market, delta, search, silent, aligned, sure.together[0])
    level = served_level(silent, aligned, payoff_range)
    silence = is_silence_equilibrium(market, personalized(users), delta)
    least = np.stack([np.maximum(sure.apart, silent), aligned])
    apart = intersected(worst[:, 0], least, payoff_range)
    known = Known(
        names,
        conditions,
        _scheme(conditions, level, sure.apart, sure.apart_weights, apart, silence),
        _scheme(conditions, level, sure.together[0], sure.together_weights, shared.worst, shared.silence),
        shared,
        payoff_range,
        level,
    )
    changes = find_changes(known, arrays, rows, delta, worst, sure.together)
    low, high = conditions.strong_error.tolist()
    return Study(
        names=names,
        delta=delta,
        users=tuple(_user(known, user) for user in range(users)),
        personalized=known.personalized,
        anonymous=known.anonymous,
        strong_error=(low, high),
        strong_weights=dict(zip(names.providers, conditions.strong_weights.tolist(), strict=True)),
        sentence=market_sentence(known),
        reasons=tuple(market_reasons(known)),
        changes=tuple(changes.sentences),
        interventions=changes.data,
        parts=shared.parts,
        outlooks=tuple(
            outlook
            for scheme, outlook in ((known.personalized, APART), (known.anonymous, shared.outlook))
            if (scheme.served == UNDECIDED).any()
        ),
        file=file,
        has_names=has_names,
        equally_likely=bool(np.allclose(arrays[0].sum(axis=(1, 2)), 1 / arrays[0].shape[-1], rtol=0, atol=1e-12)),
    )


def _scheme(
    conditions: Conditions,
    level: np.ndarray,
    guarantee: np.ndarray,
    weights: np.ndarray,
    worst: np.ndarray,
    silence: bool | None,
) -> Scheme:
    lower, upper = worst
    served = is_served(lower, upper, level)
    # What contradicts itself says nothing: what is left is what any equilibrium gives.
    lower = np.where(np.isfinite(lower), lower, conditions.silent)
    upper = np.where(np.isfinite(upper), upper, conditions.aligned)
    return Scheme(guarantee, weights, lower, upper, served, silence)


def _user(known: Known, user: int) -> UserAnswer:
    conditions, apart, together = known.conditions, known.personalized, known.anonymous
    ends = lambda scheme: (float(scheme.lower[user]), float(scheme.upper[user]))
    shares = lambda scheme: (float(known.share(scheme.lower)[user]), float(known.share(scheme.upper)[user]))
    weights = lambda every: dict(zip(known.names.providers, every[user].tolist(), strict=True))
    low, high = conditions.weak_error[:, user].tolist()
    return UserAnswer(
        name=known.names.users[user],
        silent=float(conditions.silent[user]),
        aligned=float(conditions.aligned[user]),
        weak_error=(low, high),
        weak_weights=weights(conditions.weak_weights),
        personalized_guarantee=float(apart.guarantee[user]),
        personalized_weights=weights(apart.weights),
        personalized_worst=ends(apart),
        personalized_share=shares(apart),
        personalized_served=as_truth(int(apart.served[user])),
        anonymous_guarantee=float(together.guarantee[user]),
        anonymous_weights=weights(together.weights),
        anonymous_worst=ends(together),
        anonymous_share=shares(together),
        anonymous_served=as_truth(int(together.served[user])),
        sentence=user_sentence(known, user),
        reasons=user_reasons(known, user),
    )
