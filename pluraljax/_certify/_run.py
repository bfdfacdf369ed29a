"""Certifies one market: float64 numbers and candidates from the library, then everything again in rationals."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from .._arguments import PARTS, described, finite_slack, integer_labels, market_wanted, num_parts
from .._calls import asked_again
from ._alignment._claims import Alignment, check_alignment, theorem_claims
from ._claims import PROVED, Certificate, Section
from ._conclusion import conclusion
from ._conversations import (
    Stakes,
    Standing,
    played,
    profile_standing,
    silent_standing,
    stakes_of,
    tied_in_silence,
)
from ._deviation._claims import Gain, equilibrium_question, gain_of, silence_question, standing_words
from ._deviation._replies import obeyed
from ._frontier._claims import monopoly_claim, worst_claim
from ._guarantee._claims import benchmark_words, guarantee_claim
from ._market import ExactMarket, exact_market
from ._rational import rounded
from ._shared._claims import shared_claims
from ._words import Names, short


def certify(
    market: Any,
    segments: Any = None,
    delta: Any = 0.0,
    *,
    weights: str = "cone",
    offset: str = "constant",
    scale: str = "unit",
    budget: int = PARTS,
    profile: Any = None,
    subject: str = "market",
    names: Any = None,
    file: str | None = None,
) -> Certificate:
    """Proves what pluraljax says about one market again, in exact rational arithmetic.

    Solvers propose weights, multipliers, outcomes and chains of intervals. Each bound is then evaluated at these by
    code that imports no solver and works with `fractions.Fraction`: a float is a rational number, and the numbers
    stored in the market are the market (priors are not made to sum to 1). What is claimed ends as PROVED or OPEN.

    **Arguments:**

    - `market`: one market, with concrete arrays.
    - `segments`: an integer label per user; default both ends, personalized and anonymous.
    - `delta`: how much a provider may leave on the table in an equilibrium, in units of its objective; >= 0.
    - `weights`, `offset`, `scale`: the alignment condition, as for `segment_alignment`.
    - `budget`: how many parts the search for worst equilibria of users who share policies looks at, as for
      `worst_equilibrium`; 0 for no search, and no claims on them.
    - `profile`: a `Profile`, to be proved or refuted as a delta-equilibrium, for `segments`, or else for those that its
      number of policies says: personalized or anonymous.
    - `subject`: what to call the market.
    - `names`: what users, providers and actions are called, as for `study`; default: they have numbers. Keys of claims
      have numbers in any case.
    - `file`: the file that the market was read from. Where a longer search may tell more, the certificate then gives
      the command for it; default: the call in Python.

    **Returns:** a `Certificate`: `str` of it is a proof to read, which begins with a conclusion, `.as_data()` the same
    for JSON. Raises `ValueError` for arguments that make no sense, and for names that are not as many as what they are
    for.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        proof = plx.certify(market)
        print(proof)  # every number with the inequality that proves it
    """
    if any(not hasattr(market, name) for name in ("prior", "user_value", "provider_value", "mass")):
        raise ValueError(market_wanted("market", market))
    delta, budget = finite_slack("delta", delta), num_parts("budget", budget)
    regimes = _regimes(market, segments)
    labels = None if profile is None else _labels_of_profile(market, profile, regimes)
    exact, slack = exact_market(market, _named(market, names)), Fraction(float(delta))
    choice = {"weights": weights, "offset": offset, "scale": scale}
    sections = [Section("Benchmarks", benchmark_words(exact), [])]
    aligned = _check_alignments(market, exact, regimes, choice)
    sections.append(_condition_section(aligned, choice))
    sections += [
        _promise_section(market, exact, regime, labels, aligned[regime], slack) for regime, labels in regimes.items()
    ]
    if any(_is_personalized(labels) for labels in regimes.values()):
        sections += [_monopoly_section(market, exact), _worst_section(market, exact, slack)]
    outlooks = _outlooks_apart(regimes)
    for regime, shared in regimes.items():
        if regime not in outlooks:
            section, outlooks[regime] = _shared_section(market, exact, regime, shared, slack, budget)
            sections.append(section)
    sections.append(_silence_section(market, exact, regimes, slack))
    if labels is not None:
        sections.append(_profile_section(market, exact, labels, profile, slack))
    claims = [claim for section in sections for claim in section.claims]
    options = {
        "segments": None if segments is None else next(iter(regimes.values())),
        "delta": float(delta) or None,
        **{name: value for name, value in choice.items() if value != _USUAL[name]},
    }
    ask = lambda more: asked_again("certify", file, {**options, "budget": more}, has_names=names is not None)
    said = {regime: (words, "" if more is None else ask(more)) for regime, (words, more) in outlooks.items()}
    sections.insert(0, conclusion(exact, list(regimes), claims, said))
    return Certificate(subject, _market_words(exact, slack), sections)


Labels = tuple[int, ...]

# What the conditions are where nobody says.
_USUAL = {"weights": "cone", "offset": "constant", "scale": "unit"}

# Probabilities that differ by no more than this are those of one profile, rounded in two ways.
_SAME_PROFILE = Fraction(1e-9)


def _regimes(market: Any, segments: Any) -> dict[str, Labels]:
    """Names the segments that are looked at."""
    users = market.user_value.shape[0]
    personalized, anonymous = tuple(range(users)), (0,) * users
    if segments is None:
        return {"personalized": personalized} | ({"anonymous": anonymous} if users > 1 else {})
    chosen = integer_labels("segments", segments, users)
    if _is_personalized(chosen):
        return {"personalized": chosen}
    return {"anonymous" if len(set(chosen)) == 1 else "segmented": chosen}


def _named(market: Any, names: Any) -> Names:
    """Reads a `MarketNames`, or a mapping of lists of texts."""
    users, actions = market.user_value.shape[:2]
    sizes = {"users": users, "providers": market.provider_value.shape[0], "actions": actions}
    given = names if isinstance(names, Mapping) else {axis: getattr(names, axis, None) for axis in sizes}
    if names is not None and all(each is None for each in given.values()):
        raise ValueError(f"names must be a MarketNames, or a mapping with lists of names, got {described(names)}.")
    for axis, size in sizes.items():
        if (listed := given.get(axis)) is not None and len(listed) != size:
            raise ValueError(f"names of {axis} must be {size}, as many as the market has, got {len(listed)}.")
    return Names(*(given.get(axis) for axis in sizes))


class ProfileError(ValueError):
    """A profile that does not fit the market."""


def _labels_of_profile(market: Any, profile: Any, regimes: Mapping[str, Labels]) -> Labels:
    """Finds the segments that a profile is for by how many policies it has."""
    if not all(hasattr(profile, name) for name in ("policy", "choice", "recommended", "asked")):
        raise ProfileError(f"profile must be a Profile (load_profile reads one), got {described(profile)}.")
    if isinstance(profile.policy, tuple):
        raise ProfileError(
            f"the profile has {len(profile.policy)} rounds; exact proofs are for those of one round, "
            "as pluraljax.play.in_one_round tells it."
        )
    providers, users = market.provider_value.shape[:2]
    wanted = {"policy": (providers, None, market.prior.shape[2]), "choice": (users,)}
    wanted |= dict.fromkeys(("recommended", "asked"), (providers, users, market.prior.shape[1]))
    for name, shape in wanted.items():
        leaf = getattr(profile, name)
        if leaf is not None and any(w not in (None, n) for w, n in zip(shape, leaf.shape, strict=False)):
            shown = ", ".join("segments" if w is None else str(w) for w in shape)
            raise ProfileError(f"{name} has shape {leaf.shape}, and this market asks for ({shown}, ...).")
    policies = profile.policy.shape[1]
    for labels in regimes.values():
        if len(set(labels)) == policies:
            return labels
    counts = " or ".join(str(len(set(labels))) for labels in regimes.values())
    raise ProfileError(
        f"the profile has policies for {policies} segments, and the segments looked at are {counts}; "
        "say which users share a policy."
    )


def _is_personalized(labels: Labels) -> bool:
    return len(set(labels)) == len(labels)


def _market_words(market: ExactMarket, delta: Fraction) -> list[str]:
    sizes = (market.num_users, market.num_providers, *market.prior.shape[1:], market.user_value.shape[1])
    names = ("user", "provider", "type", "evidence", "state", "action")
    shape = ", ".join(f"{size} {name}{'s' * (size != 1)}" for size, name in zip(sizes, names, strict=True))
    sums = max(abs(market.probability(j) - 1) for j in range(market.num_users))
    return [
        f"{shape}; delta {short(delta)}",
        f"The stored numbers are the market, read as exact rationals; its priors sum to 1 up to {short(sums)}.",
        "Bounds are exact and shown rounded outward, multipliers to six digits (all digits: --json). A claim is PROVED",
        "when float64 reported nothing beyond them, up to 1e-9 of the range of payoffs and 1e-12 of their size, and",
        "they are at most 1e-6 of the range apart (worst equilibria: of the way from silent to aligned, 1e-3 of it",
        "where users share a policy). Only what is equal is a tie. Numbers in brackets, as in floor (1) and",
        "theorem (4), are those of formulas in docs/mathematics.md.",
    ]


def _check_alignments(
    market: Any, exact: ExactMarket, regimes: Mapping[str, Labels], choice: Mapping[str, str]
) -> dict[str, list[Alignment]]:
    from .._proposals import propose_fits

    options: dict[str, Any] = {
        "hull": choice["weights"] == "hull",
        "offset": choice["offset"],
        "free_scale": choice["scale"] == "free",
    }
    condition = {"personalized": "weak", "anonymous": "strong", "segmented": "segment"}
    return {
        regime: [
            check_alignment(exact, proposal, condition[regime], **options)
            for proposal in propose_fits(market, labels, **choice)  # pyright: ignore[reportArgumentType]
        ]
        for regime, labels in regimes.items()
    }


def _condition_section(aligned: Mapping[str, list[Alignment]], choice: Mapping[str, str]) -> Section:
    words = [
        f"The least eps with |sum_i w_i v_i + c - scale u| <= eps: weights {choice['weights']}, "
        f"offset {choice['offset']}, scale {choice['scale']}."
    ]
    return Section("Alignment conditions", words, [found.claim for rows in aligned.values() for found in rows])


def _promise_section(
    market: Any, exact: ExactMarket, regime: str, labels: Labels, aligned: list[Alignment], delta: Fraction
) -> Section:
    from .._proposals import propose_guarantees

    claims = [
        guarantee_claim(exact, proposal, regime, delta) for proposal in propose_guarantees(market, labels, float(delta))
    ]
    promised = [claim for found in aligned for claim in theorem_claims(exact, found, regime, delta)]
    words = ["A provider may tell a segment everything, so it gets a floor there; multipliers of floors prove a bound."]
    return Section(f"What every equilibrium guarantees: {regime}", words, [*claims, *promised])


def _monopoly_section(market: Any, exact: ExactMarket) -> Section:
    from .._proposals import propose_persuasion

    claims = [
        monopoly_claim(exact, provider, user, proposal)
        for user, proposal in enumerate(propose_persuasion(market))
        for provider in range(exact.num_providers)
    ]
    words = ["What a provider can get per unit of the user's mass, by any policy, when nobody else offers anything."]
    return Section("Persuasion", words, claims)


def _worst_section(market: Any, exact: ExactMarket, delta: Fraction) -> Section:
    from .._proposals import propose_frontiers

    proposals = propose_frontiers(market, float(delta))
    claims = [worst_claim(exact, user, proposal, delta) for user, proposal in enumerate(proposals)]
    words = [
        "phi_i(r) is the most that provider i can get by an offer worth r to the user. An outcome is an equilibrium's",
        "exactly when no provider gets less by it than phi_i - delta / mass (5). delta / mass counts as at least 1e-9",
        "of the range of a provider's payoffs.",
    ]
    return Section("Worst personalized equilibrium", words, claims)


def _outlooks_apart(regimes: Mapping[str, Labels]) -> dict[str, Any]:
    """What is said of a longer search where no two users share a policy."""
    from .._proposals import APART

    return {regime: APART for regime, labels in regimes.items() if _is_personalized(labels)}


def _shared_section(
    market: Any, exact: ExactMarket, regime: str, labels: Labels, delta: Fraction, budget: int
) -> tuple[Section, Any]:
    """The claims, and what is said of a longer search."""
    from .._proposals import propose_shared

    proposals, outlook = propose_shared(market, labels, float(delta), budget)
    claims = [claim for proposal in proposals for claim in shared_claims(exact, regime, proposal, delta)]
    words = [
        "Parts, each with the providers that users may talk to and a simplex of what they lose against full",
        "information, cover all profiles. In each, no provider gains more than delta by winning a set of users (11).",
        "delta counts as at least 1e-9 of the range of a provider's objective; policies are public, without queries.",
    ]
    searched = {user for proposal in proposals for user in proposal.proof.members}
    missing = [user for user in range(exact.num_users) if user not in searched]
    if missing:
        words.append(
            f"There is no search, and no claim, for {exact.names.several(missing)}: see the guarantee, and silence."
        )
    return Section(f"Worst {regime} equilibrium", words, claims), outlook


def _gains(
    exact: ExactMarket, stakes: Stakes, standing: Standing, proposal: Any, delta: Fraction, key: str
) -> list[Gain]:
    return [gain_of(exact, stakes, standing, i, proposal, delta, key) for i in range(exact.num_providers)]


def _silence_section(market: Any, exact: ExactMarket, regimes: Mapping[str, Labels], delta: Fraction) -> Section:
    from .._proposals import propose_deviations

    stakes = stakes_of(exact)
    standing, tied = silent_standing(stakes), tied_in_silence(stakes)
    questions = []
    for regime, labels in regimes.items():
        proposal = propose_deviations(market, labels, float(delta))
        gains = _gains(exact, stakes, standing, proposal, delta, f"silence/{regime}")
        questions.append(silence_question(gains, regime, tied, exact.names))
    words = ["What a provider gains by telling users something when nobody else does, in units of its objective."]
    return Section("Silence", words, questions)


def _profile_section(market: Any, exact: ExactMarket, labels: Labels, profile: Any, delta: Fraction) -> Section:
    """Settles the profile as it is stored; or else the one near by that its rounded probabilities stand for."""
    from .._proposals import propose_deviations

    proposal, stakes = propose_deviations(market, labels, float(delta), profile), stakes_of(exact)
    order = sorted(set(labels))
    stored = played(stakes, [order.index(label) for label in labels], profile)
    standing = profile_standing(stakes, stored)
    question = equilibrium_question(
        _gains(exact, stakes, standing, proposal, delta, "profile"), "profile", "the profile"
    )
    if question.verdict != PROVED:
        moved, distance = obeyed(stakes, stored)
        after = profile_standing(stakes, moved)
        gains = _gains(exact, stakes, after, proposal, delta, "profile")
        what = f"the profile, its probabilities moved by at most {rounded(distance, up=True, digits=3)},"
        other = equilibrium_question(gains, "profile", what)
        if other.verdict == PROVED and distance <= _SAME_PROFILE:
            question, standing = other, after
    return Section("The profile", standing_words(exact, standing), [question])
