"""Do the brackets hold the optimum, and do they close?

Three questions, answered by counting. Containment: on random and on degenerate markets (ties, zero utilities, duplicate
and opposed providers, priors with zeros and entries of 1e-8; 1 to 8 providers, several types, every kind of segment),
HiGHS solves each programme at its tightest tolerances, and its optimum has to lie in the bracket to 1e-8 of the payoff
scale. Closing: on markets of every family, the share of brackets narrower than 1e-6 of the payoff scale. Near ties: on
markets with gaps and constants of every size, optima in rational arithmetic have to lie in the brackets.

    python benchmarks/brackets.py [--markets 500] [--draws 10000] [--near-ties 10000]

Run it from the repository root after installing the `test` extra; the solvers' twins live in `tests/`.
"""

import argparse
import collections
import fractions
import functools
import itertools
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import pluraljax as plx

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "certify"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import cases
import exact_oracle
import exact_silence
import near_ties
import oracles
import test_near_ties as certified

SHAPES = [cases.Shape(providers=k) for k in range(1, 9)] + [
    cases.Shape(providers=3, users=2, types=2, evidence=4, states=2, actions=4),
    cases.Shape(providers=2, users=4, types=1, evidence=2, states=3, actions=2),
]
OPTIONS = list(itertools.product(("cone", "hull"), ("constant", "state"), ("unit", "free")))
DELTAS = (0.0, 0.0, 0.1, 1.0)
SLACK = 1e-8

FAMILIES = {
    "spatial": plx.families.spatial(providers=4, users=3),
    "gaussian": plx.families.gaussian(providers=4, users=3),
    "opposed": plx.families.opposed(providers=4, users=3),
    "conic": plx.families.conic(providers=4, users=3, perturbation=0.1),
}


class Tally:
    """Counts brackets, those that exclude the optimum, those that HiGHS could not judge, and those left open."""

    def __init__(self):
        self.brackets = self.excluded = self.unjudged = self.open = 0
        self.worst = 0.0

    def add(self, lower, upper, optimum, scale, statuses):
        miss = np.maximum(lower - optimum, optimum - upper) / scale
        self.brackets += len(miss)
        self.excluded += int((~(miss <= SLACK)).sum())
        self.worst = max(self.worst, float(miss.max()))
        self.open += int((statuses == plx.Status.OPEN).sum())

    def __str__(self):
        return (
            f"{self.brackets:6d} brackets, {self.excluded} exclude the optimum (worst {self.worst:.1e}), "
            f"{self.unjudged} not judged by HiGHS, {self.open} open"
        )


def payoff_scale(market):
    """HiGHS works to absolute tolerances, hence at least 1."""
    return max(1.0, np.abs(market.user_value - market.user_value[:, :1, :1]).max())


def draw(names, shape, count):
    markets = cases.many(names, count, shape)
    labels = np.random.default_rng(count).integers(0, shape.users, size=(count, shape.users)).astype(np.int32)
    return markets, labels, np.resize(DELTAS, count)


@functools.cache
def compiled(*options):
    """One question for batches: `guarantee` without options, `segment_alignment` with them. Kinds share programmes."""
    if not options:
        return jax.jit(jax.vmap(lambda market, segments, delta: plx.guarantee(market, segments, delta)))
    return jax.jit(jax.vmap(lambda market, segments: plx.segment_alignment(market, segments, *options)))


def check_guarantees(markets, labels, delta, tally):
    with jax.enable_x64(True):
        amounts = jnp.asarray(delta)
    found = jax.tree.map(np.asarray, compiled()(cases.stack(markets), jnp.asarray(labels), amounts))
    for i, market in enumerate(markets):
        try:
            optimum = oracles.guarantees(market, labels[i], delta[i])
        except AssertionError:
            tally.unjudged += len(labels[i])
            continue
        tally.add(found.lower[i], found.upper[i], optimum, payoff_scale(market), found.status[i])


def check_alignment(markets, labels, options, tally):
    found = jax.tree.map(np.asarray, compiled(*options)(cases.stack(markets), jnp.asarray(labels)))
    for i, market in enumerate(markets):
        lower, upper, scale = found.value.lower[i], found.value.upper[i], payoff_scale(market)
        if options[2] == "free":
            # No programme has this optimum: HiGHS says of both ends whether they are reached.
            held = oracles.alignment_contained(market, labels[i], lower, upper, SLACK * scale, *options)
            tally.add(lower, np.where(held, lower, -np.inf), lower, scale, found.status[i])
            continue
        try:
            optimum = oracles.alignment_errors(market, labels[i], *options[:2])
        except AssertionError:
            tally.unjudged += len(labels[i])
            continue
        tally.add(lower, upper, optimum, scale, found.status[i])


def containment(count):
    failed = 0
    for kind, names in (("random", cases.RANDOM), ("degenerate", cases.DEGENERATE)):
        tallies = {"guarantee": Tally()} | {"-".join(options): Tally() for options in OPTIONS}
        for number, shape in enumerate(SHAPES):
            markets, labels, delta = draw(names, shape, -(-count // len(SHAPES)))
            check_guarantees(markets, labels, delta, tallies["guarantee"])
            for options in OPTIONS:
                # The options meet every shape in turn; the default ones meet all of them.
                if options == OPTIONS[0] or (number + OPTIONS.index(options)) % 3 == 0:
                    check_alignment(markets, labels, options, tallies["-".join(options)])
        print(f"\n{kind} markets, {count} of them: optimum of HiGHS within {SLACK:g} of the payoff scale")
        for name, tally in tallies.items():
            print(f"  {name:20s} {tally}", flush=True)
            failed += tally.excluded
    return failed


def closing(draws, chunk=1000):
    """Counts brackets that close on markets of every family."""
    questions = {
        "weak": plx.weak_alignment,
        "weak, hull": lambda market: plx.weak_alignment(market, weights="hull"),
        "strong": plx.strong_alignment,
        "strong, free scales": lambda market: plx.strong_alignment(market, scale="free"),
        "guarantee, personalized": lambda market: plx.guarantee(market, plx.personalized(3)),
        "guarantee, anonymous": lambda market: plx.guarantee(market, plx.anonymous(3)),
    }
    print(f"\nclosed to 1e-6 of the payoff scale, {draws} markets a family ({jax.devices()[0].device_kind})")
    for family_name, family in FAMILIES.items():
        asked = {name: jax.jit(jax.vmap(question)) for name, question in questions.items()}
        counts = {name: [0, 0] for name in questions}
        started = time.perf_counter()
        for at in range(0, draws, chunk):
            keys = jax.vmap(lambda i: jr.fold_in(jr.key(0), i))(jnp.arange(at, min(at + chunk, draws)))
            batch = jax.vmap(family)(keys)
            for name, ask in asked.items():
                status = np.asarray(ask(batch).status)
                counts[name][0] += int((status != plx.Status.OPEN).sum())
                counts[name][1] += status.size
        for name, (closed, total) in counts.items():
            print(f"  {family_name:9s} {name:24s} {closed}/{total} = {closed / total:.5f}", flush=True)
        print(f"  {family_name:9s} {time.perf_counter() - started:.1f} s, compilation included", flush=True)


def exact_guarantees(market, labels, delta):
    """The optimum of every user, exactly."""
    exact = exact_oracle.ExactMarket(market)
    return [exact_oracle.guarantee(exact, labels, delta, j) + exact.baseline[j] for j in range(exact.users)]


def exact_worst(market, _, delta):
    exact = exact_oracle.ExactMarket(market)
    return [exact_oracle.Frontier(exact, j).worst(delta) + exact.baseline[j] for j in range(exact.users)]


def exact_gains(market, labels, _):
    exact = exact_oracle.ExactMarket(market)
    return [exact_silence.silence_gain(exact, labels, i) for i in range(exact.providers)]


def bracket_of_guarantee(market, labels, delta):
    found = plx.guarantee(market, labels, delta)
    return found.lower, found.upper, found.status


def bracket_of_worst(market, _, delta):
    found = plx.worst_equilibrium(market, plx.personalized(market.num_users), delta)
    return found.value.lower, found.value.upper, found.status


def bracket_of_gain(market, labels, delta):
    found = plx.silence(market, labels, delta)
    return found.value.lower, found.value.upper, found.status


# What is asked of (market, labels, delta): bracket ends and statuses per user or provider, the exact optima, and the
# payoffs that they are made of.
NEAR_TIES = {
    "guarantee": (bracket_of_guarantee, exact_guarantees, lambda market, j: market.user_value[j]),
    "worst, personalized": (bracket_of_worst, exact_worst, lambda market, j: market.user_value[j]),
    "gain from silence": (bracket_of_gain, exact_gains, lambda market, i: market.provider_value[i]),
}


def certificates(count):
    """Certifies markets that nearly tie, and holds every sentence against a twin; returns the number of false ones."""
    started, failed, said = time.perf_counter(), 0, collections.Counter()
    for seed in range(count):
        delta = fractions.Fraction(0) if seed % 3 else fractions.Fraction(1, 128)
        try:
            said.update(claim.verdict for claim in certified.judge(certified.near_tie(seed), delta).claims)
        except AssertionError as error:
            failed += 1
            print(f"  certificate {seed}: {error}", flush=True)
    print(f"  certificates: {dict(said)} claims, {failed} false, {time.perf_counter() - started:.0f} s", flush=True)
    return failed


def near_tie_battery(count, chunk=60):
    """Holds brackets of markets in which much nearly ties against optima in rational arithmetic; returns the misses."""
    failed = 0
    for name, (question, exactly, payoffs) in NEAR_TIES.items():
        ask, brackets, still_open, excluded = jax.jit(jax.vmap(question)), 0, 0, 0
        started = time.perf_counter()
        for seed in range(-(-count // chunk)):
            markets, batch, deltas = near_ties.draw_many(seed, chunk)
            labels = np.resize([[0, 0], [0, 1]], (chunk, near_ties.USERS)).astype(np.int32)
            lower, upper, status = map(np.asarray, ask(batch, jnp.asarray(labels), deltas))
            for i, market in enumerate(markets):
                optima = exactly(market, labels[i], float(deltas[i]))
                for j in np.flatnonzero(status[i] != plx.Status.TOO_SMALL):
                    brackets += 1
                    still_open += int(status[i, j] in (plx.Status.OPEN, plx.Status.IN_DOUBT))
                    if not near_ties.contains(lower[i, j], upper[i, j], optima[j], payoffs(market, j)):
                        excluded += 1
                        print(
                            f"  {name}: seed {seed}, market {i}, number {j}: [{lower[i, j]}, {upper[i, j]}]", flush=True
                        )
        print(
            f"  {name:20s} {brackets:6d} brackets, {excluded} exclude the exact optimum, {still_open} open, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
        failed += excluded
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=500, help="markets of each kind to hold against HiGHS")
    parser.add_argument("--draws", type=int, default=10_000, help="markets of each family to count closed brackets on")
    parser.add_argument("--near-ties", type=int, default=0, help="nearly tied markets to hold against exact optima")
    arguments = parser.parse_args()
    failed = containment(arguments.markets) if arguments.markets else 0
    if arguments.draws:
        closing(arguments.draws)
    if arguments.near_ties:
        failed += near_tie_battery(arguments.near_ties)
        failed += certificates(arguments.near_ties // 5)
    sys.exit(f"{failed} brackets exclude the optimum" if failed else 0)


if __name__ == "__main__":
    main()
