"""How much faster persuasion and the frontier are than HiGHS, one programme at a time: `python benchmarks/frontier.py`.

One core, batches of 1,000 markets, both sides in the same run. HiGHS keeps one model, with presolve off; for the
frontier it bisects intervals with the emptiness test, down to 1e-3 of the way from silent to aligned, and stops as soon
as it meets an interval that it cannot clear (which is less than the bracket that pluraljax returns).
"""

import importlib.util
import json
import os
import platform
import time
from pathlib import Path

import highspy
import jax
import numpy as np

import pluraljax as plx

# The slow twin that the tests use.
ORACLE = Path(__file__).parent.parent / "tests" / "frontier_oracle.py"
MARKETS = 1000
SAMPLE = 40  # markets that HiGHS brackets; its time per market hardly varies
WANTED = {"persuasion, 8 evidences x 4 actions": 30, "frontier, 4 providers, 4 x 4, delta 0": 50}


def draw(providers, actions, states, alignment):
    family = plx.families.gaussian(
        providers=providers, users=1, actions=actions, states=states, alignment=alignment, prior="dirichlet"
    )
    return jax.vmap(family)(jax.random.split(jax.random.key(0), MARKETS))


def clock(function, *arguments, repeats=20):
    """Seconds of the first call, the best of some later ones, and the result."""
    begin = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    first, times = time.perf_counter() - begin, []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - begin)
    return first, min(times), result


def arrays(markets):
    stakes = jax.vmap(plx.stakes)(markets)
    return np.asarray(stakes.user)[:, 0], np.asarray(stakes.provider)[:, :, 0]


def oracle_class():
    spec = importlib.util.spec_from_file_location(ORACLE.stem, ORACLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FrontierOracle


class Persuader:
    """Bayesian persuasion by HiGHS: one model whose coefficients change from market to market."""

    def __init__(self, evidences, actions):
        self.pairs = [(a, b) for a in range(actions) for b in range(actions) if a != b]
        place = np.arange(evidences * actions).reshape(evidences, actions)
        index = [place[x] for x in range(evidences)] + [place[:, a] for a, _ in self.pairs]
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = place.size, len(index)
        lp.col_lower_, lp.col_upper_ = np.zeros(place.size), np.full(place.size, highspy.kHighsInf)
        lp.row_lower_ = np.r_[np.ones(evidences), np.zeros(len(self.pairs))]
        lp.row_upper_ = np.r_[np.ones(evidences), np.full(len(self.pairs), highspy.kHighsInf)]
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.r_[0, np.cumsum([len(row) for row in index])].astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate(index).astype(np.int32)
        lp.sense_ = highspy.ObjSense.kMaximize
        self.lp, self.solver, self.evidences, self.actions = lp, highspy.Highs(), evidences, actions
        for option, value in (("output_flag", False), ("presolve", "off"), ("threads", 1)):
            self.solver.setOptionValue(option, value)

    def value(self, user, provider):
        """Returns the optimum, and the seconds that HiGHS took to read the coefficients and to solve."""
        rows = [user[:, a] - user[:, b] for a, b in self.pairs]
        self.lp.a_matrix_.value_ = np.concatenate([np.ones(self.evidences * self.actions), *rows])
        self.lp.col_cost_ = provider.ravel()
        begin = time.perf_counter()
        self.solver.passModel(self.lp)
        self.solver.run()
        return self.solver.getInfo().objective_function_value, time.perf_counter() - begin


def persuasion():
    markets = draw(1, 4, 8, alignment=0.0)
    first, seconds, found = clock(jax.jit(jax.vmap(plx.persuasion)), markets)
    user, provider = arrays(markets)
    persuader = Persuader(8, 4)
    passes = [[persuader.value(user[i, 0], provider[i, 0, 0]) for i in range(MARKETS)] for _ in range(5)]
    exact = min(sum(seconds for _, seconds in one) for one in passes) / MARKETS
    error = np.abs(np.asarray(found.value.upper)[:, 0, 0] - [value for value, _ in passes[0]]).max()
    return report("persuasion, 8 evidences x 4 actions", first, seconds, exact) | {
        "largest width": float(np.asarray(found.value.width).max()),
        "largest difference to HiGHS": float(error),
    }


def frontier(delta):
    markets = draw(4, 4, 4, alignment=1.0)
    first, seconds, found = clock(jax.jit(jax.vmap(lambda market: plx.frontier(market, delta))), markets)
    user, provider = arrays(markets)
    span = np.asarray(jax.vmap(lambda m: plx.benchmarks(m).aligned - plx.benchmarks(m).silent)(markets))[:, 0]
    spread = np.asarray(markets.provider_value.max(axis=(2, 3, 4)) - markets.provider_value.min(axis=(2, 3, 4)))
    make_oracle = oracle_class()
    begin, solved = time.perf_counter(), 0
    for i in range(SAMPLE):
        oracle = make_oracle(user[i], provider[i])
        oracle.bisect(np.maximum(delta, 1e-9 * spread[i]))
        solved += oracle.solved
    exact = (time.perf_counter() - begin) / SAMPLE
    return report(f"frontier, 4 providers, 4 x 4, delta {delta:g}", first, seconds, exact) | {
        "programmes of HiGHS per market": solved / SAMPLE,
        "largest width, share of the span": float((np.asarray(found.worst.width)[:, 0] / np.maximum(span, 1e-9)).max()),
        "open": int((np.asarray(found.status) == plx.Status.OPEN).sum()),
    }


def report(name, first, seconds, exact):
    micro = 1e6 * seconds / MARKETS
    return {
        "what": name,
        "microseconds a market": micro,
        "first call, compilation included, seconds": first,
        "HiGHS, microseconds a market": 1e6 * exact,
        "times faster": 1e6 * exact / micro,
        "wanted": WANTED.get(name),
    }


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    versions = {"jax": jax.__version__, "python": platform.python_version(), "device": str(jax.devices()[0])}
    print(json.dumps(versions))
    for row in (persuasion(), frontier(0.0), frontier(0.02)):
        print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
