"""What would change the answer: payments that align, exits of single providers, and a copy of the only one."""

from typing import Any, NamedTuple

import jax
import numpy as np

from .._market import Market
from .._served import NO, UNDECIDED, YES, is_served
from .._status import Status
from .._tuning import least_subsidy
from ._facts import Arrays, Rows, ask_guarantees
from ._parts import as_truth
from ._sentences import Known, shown, together


class Changes(NamedTuple):
    """Sentences, and the numbers that they are made of as plain data."""

    sentences: list[str]
    data: dict[str, Any]


def find_changes(
    known: Known, arrays: Arrays, rows: Rows, delta: float, worst: np.ndarray, sure: np.ndarray
) -> Changes:
    """Asks what would change the answer.

    **Arguments:**

    - `known`: the answer so far.
    - `arrays`: the market.
    - `rows`: the changes that were asked about; row 0 is the market itself.
    - `delta`: slack of the equilibria.
    - `worst`: brackets of worst personalized equilibria, `[end row user]`.
    - `sure`: anonymous guarantees, `[row user]`.
    """
    sentences, payments = [], {}
    for name, scheme, aligned in (
        ("personalized", known.personalized, known.weakly_aligned),
        ("anonymous", known.anonymous, np.full(len(known.level), known.strongly_aligned)),
    ):
        unserved = (scheme.served != YES) & ~aligned
        if unserved.any():
            said, payments[name] = _payment(known, arrays, rows, delta, name, unserved)
            sentences.append(said)
    of_rows = _copy if known.is_alone else _exits
    more, data = of_rows(known, worst, sure)
    return Changes(sentences + more, {"payments": payments} | data)


def _payment(
    known: Known, arrays: Arrays, rows: Rows, delta: float, name: str, unserved: np.ndarray
) -> tuple[str, dict[str, Any]]:
    """The least payment that aligns: the users who are not served if personalized, or everybody at once."""
    prior, user_value, provider, mass = arrays
    labels = np.arange(len(mass)) if name == "personalized" else np.zeros(len(mass), int)
    with jax.enable_x64(True):
        found = least_subsidy(Market(prior, user_value, provider, mass), labels)
    whom = unserved if name == "personalized" else np.ones(len(mass), bool)
    names = [each for each, yes in zip(known.names.users, whom, strict=True) if yes]
    condition = "weak" if name == "personalized" else "strong"
    if found.status != Status.OK:
        return f"No payment was found that brings {condition} alignment.", {"solved": False}
    payment = np.where(whom[:, None, None], np.asarray(found.payment), 0.0)
    cost = float(0.5 * np.einsum("j,jay->", mass, payment**2))
    paid = ask_guarantees((prior, user_value, provider + payment[None], mass), rows, delta)
    sure = paid.apart if name == "personalized" else paid.together[0]
    served = known.serves(sure)
    most, beta = _largest(known, payment), _scales(found, user_value)[whom].max()
    sentence = _payment_sentence(name, names, len(mass), condition, cost, beta, most, bool(served[whom].all()))
    return sentence, {
        "solved": True,
        "users": names,
        "cost": cost,
        "beta": float(beta),
        "largest": most,
        "served": bool(served[whom].all()),
    }


def _scales(found: Any, user_value: np.ndarray) -> np.ndarray:
    """How much a user's payoffs count in what providers want together once they are paid: beta, 0 for who has none."""
    wanted = np.einsum("ji,ijay->jay", np.asarray(found.weights), np.asarray(found.market.provider_value))
    # Actions are compared within a state only: what differs between states alone is an offset.
    spread = lambda value: np.ptp(value, axis=1).max(axis=1)
    own = spread(user_value)
    return np.divide(spread(wanted), own, where=own > 0, out=np.zeros(len(own)))


def _largest(known: Known, payment: np.ndarray) -> dict[str, Any]:
    """The largest payment either way: the first of those that a solver does not tell apart."""
    size = np.abs(payment)
    user, action, state = np.argwhere(size >= (1 - 1e-4) * size.max())[0].tolist()
    names = known.names
    return {
        "user": names.users[user],
        "action": names.actions[action],
        "state": names.states[state],
        "payment": float(payment[user, action, state]),
    }


def _payment_sentence(
    scheme: str,
    names: list[str],
    count: int,
    condition: str,
    cost: float,
    beta: float,
    most: dict[str, Any],
    served: bool,
) -> str:
    who = "everyone" if len(names) == count > 1 else together(names)
    is_one = who == "everyone" or len(names) == 1
    what = f"{shown(most['action'])}, state {shown(most['state'])}, to whoever serves {shown(most['user'])}"
    verb, wants = ("is", "wants") if is_one else ("are", "want")
    does = "does" if is_one else "do"
    tied = (
        f"Even then it is not proved that {who} {verb} served: whoever is indifferent between two actions (a tie) may "
        "do what suits a provider, and an equilibrium may rest on that."
    )
    then = f"Then {who} {verb} served for sure; less may be enough for that." if served else tied
    fee = " (negative: a fee)" if most["payment"] < 0 else ""
    return (
        f"If policies are {scheme}: the least payments for what {who} {does} that bring {condition} alignment "
        f"cost {cost:.3g} (plx.tuning.least_subsidy), the largest is {most['payment']:.3g}{fee} for {what}. "
        f"Weighed together, the providers then want {beta:.3g} times (beta) what {who} {wants}. {then}"
    )


def _served_after(known: Known, worst: np.ndarray) -> np.ndarray:
    """Who is served if policies are personalized, `[row user]`, beyond the market itself."""
    return np.where(known.idle, YES, is_served(worst[0, 1:], worst[1, 1:], known.level))


def _exits(known: Known, worst: np.ndarray, sure: np.ndarray) -> tuple[list[str], dict[str, Any]]:
    after, providers, users = _served_after(known, worst), known.names.providers, known.names.users
    if not len(after):
        return [], {"exits": None}
    sentences, harmless = [], []
    names = lambda mask: [name for name, yes in zip(users, mask, strict=True) if yes]
    now = known.personalized.served
    everybody_sure = known.serves(known.anonymous.guarantee).all()
    for provider, served, guaranteed in zip(providers, after, sure[1:], strict=True):
        lost, doubtful = names((now == YES) & (served == NO)), names((now == YES) & (served == UNDECIDED))
        gained = names((now != YES) & (served == YES))
        start = f"Without {shown(provider)}, "
        if lost:
            sentences.append(f"{start}{_would(lost)} no longer be served if policies are personalized.")
        if doubtful:
            sentences.append(f"{start}{_would(doubtful)} perhaps no longer be served if policies are personalized.")
        if gained:
            sentences.append(f"{start}{_would(gained)} be served if policies are personalized.")
        if everybody_sure and not known.serves(guaranteed).all():
            sentences.append(f"{start}anonymous policies would no longer serve everyone for sure.")
        if not (lost or doubtful or gained):
            harmless.append(provider)
    if harmless:
        who = _any_one(harmless, everybody=len(harmless) == len(providers))
        sentences.append(f"If policies are personalized, {who} could leave without a change in who is served.")
    return sentences, {"exits": [_row(known, name, *each) for name, *each in _each(providers, worst, after, sure)]}


def _any_one(names: list[str], *, everybody: bool) -> str:
    """Each of some providers, but only by itself: together their exits were not asked about."""
    if len(names) == 1:
        return shown(names[0])
    if len(names) == 2:
        return f"either one of {together(names)} (not both)"
    return f"any one {'provider' if everybody else f'of {together(names)}'} (not several)"


def _copy(known: Known, worst: np.ndarray, sure: np.ndarray) -> tuple[list[str], dict[str, Any]]:
    (provider,), (after,), users = known.names.providers, _served_after(known, worst), known.names.users
    names = lambda mask: [name for name, yes in zip(users, mask, strict=True) if yes]
    now, start = known.personalized.served, f"A copy of {shown(provider)} to compete with it would"
    gained, lost = names((now != YES) & (after == YES)), names((now == YES) & (after != YES))
    sentences = []
    if gained:
        sentences.append(f"{start} serve {together(gained)} if policies are personalized.")
    if lost:
        sentences.append(f"{start} no longer surely serve {together(lost)} if policies are personalized.")
    if not gained and not lost:
        sentences.append(f"{start} change nothing in who is served if policies are personalized.")
    return sentences, {"copy": _row(known, provider, worst[:, 1], after, sure[1])}


def _each(providers: tuple[str, ...], worst: np.ndarray, after: np.ndarray, sure: np.ndarray) -> Any:
    return zip(providers, np.moveaxis(worst, 0, 1)[1:], after, sure[1:], strict=True)


def _row(known: Known, provider: str, worst: np.ndarray, served: np.ndarray, sure: np.ndarray) -> dict[str, Any]:
    return {
        "provider": provider,
        "personalized_worst": worst.T,
        "personalized_served": [as_truth(int(each)) for each in served],
        "anonymous_guarantee": sure,
    }


def _would(names: list[str]) -> str:
    return f"{together(names)} would"
