"""What happens to a large anonymous public: does competition serve it, and who could still gain?

m users hear one policy of each of k providers (`gaussian` markets, with and without a bias that all providers share).
Nothing is solved exactly there: play finds profiles from several starts (silent, fully informative, random), and every
provider's gain is bracketed, from below by policies that are tried on the users, from above by what it could gain if it
were free to treat every user apart. A profile is certified as an equilibrium, refuted, or left open, never guessed. The
script follows what users get (silent = 0, aligned = 1), what can still be gained, and what a market costs, as m grows.

    python experiments/large_public.py [--markets 8] [--users 10 30 100 300] [--shared 0 1]
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import jax.random as jr
import numpy as np
from matplotlib.figure import Figure
from study import STYLES, panels, run_study

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; an answer is one of `signals`."""

    markets: int = 8
    users: tuple[int, ...] = (10, 30, 100, 300)
    shared: tuple[float, ...] = (0.0, 1.0)
    providers: int = 8
    actions: int = 8
    states: int = 8
    signals: int = 16
    starts: int = 6
    steps: int = 300
    rounds: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """Means over markets, and over the profiles that play ends in from every start (but for `least`, over markets).

    `certified`, `refuted` and `still_open` are shares of these profiles; `value` is what users get, `least` in the
    worst of a market's profiles. `low` and `high` bracket the largest gain that a provider has left where a profile is
    not certified, as a share of what breaking silence is worth to it at least (`silence`, in payoffs, the largest).
    `seconds` are of CPU time a market, `first` those of the first one, which compiles.
    """

    users: int
    shared: float
    certified: float
    refuted: float
    still_open: float
    value: float
    least: float
    low: float
    high: float
    silence: float
    silence_refuted: float
    seconds: float
    first: float


def one_market(config: Config, users: int, shared: float, number: int) -> tuple[np.ndarray, ...]:
    """Plays one market and brackets all gains; all is NumPy: verdicts, values [start user], gains [start provider]."""
    family = plx.families.gaussian(
        providers=config.providers, users=users, actions=config.actions, states=config.states, shared=shared
    )
    market = family(jr.fold_in(jr.key(config.seed), number))
    everyone, talk = plx.anonymous(users), plx.Conversation(signals=config.signals)
    settings = {"starts": config.starts, "rounds": config.rounds, "annealing": plx.play.Annealing(steps=config.steps)}
    found = plx.equilibrium(market, everyone, talk, jr.key(number), **settings).found
    silence = plx.silence(market, everyone)
    value = plx.benchmarks(market).share(found.user_value)
    gains = found.value.lower, found.value.upper, silence.value.lower
    return tuple(np.asarray(each) for each in (found.holds, value, *gains, silence.holds))


def measure(config: Config) -> Iterator[Result]:
    for shared in config.shared:
        for users in config.users:
            rows, spent = [], []
            for number in range(config.markets):
                began = time.process_time()
                rows.append(one_market(config, users, shared, number))
                spent.append(time.process_time() - began)
            holds, value, low, high, silence, quiet = (np.stack(each) for each in zip(*rows, strict=True))
            loose = holds != plx.Truth.HOLDS
            of_silence = lambda gain, silence=silence: (gain / silence[:, None]).max(axis=-1)
            mean = lambda each, loose=loose: float(each[loose].mean()) if loose.any() else 0.0
            yield Result(
                users=users,
                shared=shared,
                certified=float((holds == plx.Truth.HOLDS).mean()),
                refuted=float((holds == plx.Truth.FAILS).mean()),
                still_open=float((holds == plx.Truth.OPEN).mean()),
                value=float(np.nanmean(value)),
                least=float(np.nanmean(value, axis=2).min(axis=1).mean()),
                low=mean(of_silence(low)),
                high=mean(of_silence(high)),
                silence=float(silence.max(axis=-1).mean()),
                silence_refuted=float((quiet == plx.Truth.FAILS).mean()),
                seconds=float(np.mean(spent[1:] or spent)),
                first=spent[0],
            )


HEADING = "shared users certified refuted open  value  least  gain left     seconds  first"


def row_of(result: Result) -> str:
    return (
        f"{result.shared:6g} {result.users:5d} {result.certified:9.2f} {result.refuted:7.2f} {result.still_open:4.2f} "
        f"{result.value:6.3f} {result.least:6.3f}  [{result.low:.3f}, {result.high:.3f}] "
        f"{result.seconds:7.2f} {result.first:6.1f}"
    )


def draw(results: list[Result], config: Config) -> Figure:
    figure, (cost, value) = panels(2)
    for shared, (color, marker, line) in zip(config.shared, STYLES, strict=False):
        rows = [row for row in results if row.shared == shared]
        users, look = [row.users for row in rows], {"color": color, "marker": marker, "markersize": 4}
        cost.plot(users, [row.seconds for row in rows], line, **look, label=f"shared bias {shared:g}")
        value.plot(users, [row.value for row in rows], line, **look, label=f"mean, shared bias {shared:g}")
        value.plot(users, [row.least for row in rows], ":", **look, alpha=0.5, label="worst profile of a market")
    ends = np.array([min(config.users), max(config.users)])
    cost.plot(ends, results[0].seconds * ends / results[0].users, color="0.7", linewidth=0.8, label="in proportion")
    cost.set(xscale="log", yscale="log", xlabel="users", ylabel="seconds of CPU time a market")
    value.axhline(1.0, color="0.7", linewidth=0.8)
    value.set(xscale="log", xlabel="users", ylabel="users' value (0 silent, 1 aligned)")
    for panel in (cost, value):
        panel.legend(frameon=False, fontsize=8)
    shape = f"{config.providers} providers, {config.actions} actions, {config.states} states"
    figure.suptitle(f"One policy for all users; {shape}, {config.markets} markets a point", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("large_public", __doc__, Config, measure, draw, (HEADING, row_of))
