"""How much faster the questions are than HiGHS, one programme at a time: `python benchmarks/speed.py [NAME ...]`.

CPU seconds on one core, batches of 1,000 markets, both sides in the same run. pluraljax answers the whole question,
both ends of its bracket included; HiGHS solves one programme, keeps one model, and has presolve off. For the public
programme pluraljax looks at every set of users that may be won, and HiGHS at the one that matters. For the frontier
HiGHS bisects intervals with the emptiness test, down to 1e-3 of the way from silent to aligned, and stops as soon as it
meets an interval that it cannot clear (which is less than the bracket that pluraljax returns).
"""

import importlib.util
import itertools
import json
import os
import platform
import sys
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
WANTED = {
    "persuasion, 8 evidences x 4 actions": 30,
    "weak alignment, 8 states x 4 actions x 5 providers": 30,
    "public persuasion, 4 users x 3 actions x 8 states": 5,
    "frontier, 4 providers, 4 x 4, delta 0": 50,
}


def draw(providers, actions, states, alignment, users=1, markets=MARKETS):
    family = plx.families.gaussian(
        providers=providers, users=users, actions=actions, states=states, alignment=alignment, prior="dirichlet"
    )
    return jax.vmap(family)(jax.random.split(jax.random.key(0), markets))


def clock(function, *arguments, repeats=20, budget=5.0):
    """CPU seconds of the first call, the least of some later ones (until they took `budget` in all), and the result."""
    begin = time.process_time()
    result = jax.block_until_ready(function(*arguments))
    first, times = time.process_time() - begin, []
    while len(times) < repeats and (not times or sum(times) < budget):
        begin = time.process_time()
        jax.block_until_ready(function(*arguments))
        times.append(time.process_time() - begin)
    return first, min(times), result


def arrays(markets):
    """Stakes of the only type: `[market user evidence action]` and `[market provider user evidence action]`."""
    stakes = jax.vmap(plx.stakes)(markets)
    return np.asarray(stakes.user)[:, :, 0], np.asarray(stakes.provider)[:, :, :, 0]


def oracle_class():
    spec = importlib.util.spec_from_file_location(ORACLE.stem, ORACLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FrontierOracle


class Programme:
    """One HiGHS model, `minimise cost x` over rows with sparse entries, whose numbers change from market to market."""

    def __init__(self, rows, num_columns, row_lower, row_upper, column_lower, maximise=False):
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = num_columns, len(rows)
        lp.col_lower_, lp.col_upper_ = column_lower, np.full(num_columns, highspy.kHighsInf)
        lp.row_lower_, lp.row_upper_ = row_lower, row_upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.r_[0, np.cumsum([len(row) for row in rows])].astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate(rows).astype(np.int32)
        lp.sense_ = highspy.ObjSense.kMaximize if maximise else highspy.ObjSense.kMinimize
        self.lp, self.solver = lp, highspy.Highs()
        for option, value in (("output_flag", False), ("presolve", "off"), ("threads", 1)):
            self.solver.setOptionValue(option, value)

    def solve(self):
        """Returns the optimum, and the seconds that HiGHS took to read the coefficients and to solve."""
        begin = time.process_time()
        self.solver.passModel(self.lp)
        self.solver.run()
        return self.solver.getInfo().objective_function_value, time.process_time() - begin


class Persuader(Programme):
    """Public persuasion of some users at once: probabilities of profiles of recommended actions, and obedience."""

    def __init__(self, users, evidences, actions):
        self.profiles = np.array(list(itertools.product(range(actions), repeat=users)))
        self.columns = np.arange(len(self.profiles) * evidences).reshape(len(self.profiles), evidences)
        self.swaps = [
            (p, j, b)
            for p, profile in enumerate(self.profiles)
            for j in range(users)
            for b in range(actions)
            if b != profile[j]
        ]
        rows = [self.columns[:, x] for x in range(evidences)] + [self.columns[p] for p, _, _ in self.swaps]
        once, free = np.ones(evidences), np.full(len(self.swaps), highspy.kHighsInf)
        super().__init__(
            rows,
            self.columns.size,
            np.r_[once, np.zeros(len(self.swaps))],
            np.r_[once, free],
            np.zeros(self.columns.size),
            maximise=True,
        )

    def value(self, user, provider):
        """`[user evidence action]` stakes, the provider's weighted by mass."""
        own = [user[j, :, self.profiles[p, j]] - user[j, :, b] for p, j, b in self.swaps]
        evidences = user.shape[1]
        self.lp.a_matrix_.value_ = np.concatenate([np.ones(len(self.profiles) * evidences), *own])
        each = np.arange(len(user))
        self.lp.col_cost_ = np.stack([provider[each, :, profile].sum(axis=0) for profile in self.profiles]).ravel()
        return self.solve()


class Fitter(Programme):
    """The least alignment error: `|sum_i w_i v_i + c - u| <= error` over weights, offset and error."""

    def __init__(self, providers, payoffs):
        everything, infinity = np.arange(providers + 2), highspy.kHighsInf
        super().__init__(
            [everything] * (2 * payoffs),
            providers + 2,
            np.full(2 * payoffs, -infinity),
            np.zeros(2 * payoffs),
            np.r_[np.zeros(providers), -infinity, 0.0],
        )
        self.lp.col_cost_ = np.r_[np.zeros(providers + 1), 1.0]

    def value(self, user, provider):
        """`[payoff]` and `[provider payoff]`."""
        ones = np.ones(len(user))
        above, below = np.c_[provider.T, ones, -ones], np.c_[-provider.T, -ones, -ones]
        self.lp.a_matrix_.value_ = np.concatenate([above, below]).ravel()
        self.lp.row_upper_ = np.r_[user, -user]
        return self.solve()


def compare(name, question, markets, ends, programme, passes=5):
    """Times a question against a programme; `ends` reads both ends of the bracket `[market]`."""
    first, seconds, found = clock(jax.jit(jax.vmap(question)), markets)
    count = len(markets.mass)
    runs = [[programme(i) for i in range(count)] for _ in range(passes)]
    exact = min(sum(seconds for _, seconds in run) for run in runs) / count
    lower, upper = (np.asarray(end) for end in ends(found))
    value = np.array([value for value, _ in runs[0]])
    return report(name, first, seconds / count, exact) | {
        "largest width": float((upper - lower).max()),
        "farthest that HiGHS is outside": float(np.maximum(lower - value, value - upper).max()),
    }


def persuasion(markets=MARKETS, evidences=8, actions=4):
    markets = draw(1, actions, evidences, alignment=0.0, markets=markets)
    user, provider = arrays(markets)
    persuader = Persuader(1, evidences, actions)
    return compare(
        f"persuasion, {evidences} evidences x {actions} actions",
        plx.persuasion,
        markets,
        lambda found: (found.value.lower[:, 0, 0], found.value.upper[:, 0, 0]),
        lambda i: persuader.value(user[i], provider[i, 0]),
    )


def alignment(markets=MARKETS):
    markets = draw(5, 4, 8, alignment=1.0, markets=markets)
    user = np.asarray(markets.user_value).reshape(len(markets.mass), -1)
    provider = np.asarray(markets.provider_value).reshape(len(markets.mass), 5, -1)
    fitter = Fitter(5, user.shape[1])
    return compare(
        "weak alignment, 8 states x 4 actions x 5 providers",
        plx.weak_alignment,
        markets,
        lambda found: (found.value.lower[:, 0], found.value.upper[:, 0]),
        lambda i: fitter.value(user[i], provider[i]),
    )


def public(markets=MARKETS):
    markets = draw(1, 3, 8, alignment=0.0, users=4, markets=markets)
    user, provider = arrays(markets)
    persuader, mass = Persuader(4, 8, 3), np.asarray(markets.mass)
    silent = (provider[:, 0].sum(axis=2) * mass[..., None])[
        np.arange(len(mass))[:, None], np.arange(4)[None], user.sum(axis=2).argmax(axis=-1)
    ].sum(axis=-1)
    return compare(
        "public persuasion, 4 users x 3 actions x 8 states",
        lambda market: plx.silence(market, plx.anonymous(4)),
        markets,
        lambda found: (np.asarray(found.value.lower)[:, 0] + silent, np.asarray(found.value.upper)[:, 0] + silent),
        lambda i: persuader.value(user[i], provider[i, 0] * mass[i][:, None, None]),
        passes=1,
    )


def frontier(delta, markets=MARKETS):
    markets = draw(4, 4, 4, alignment=1.0, markets=markets)
    sample = min(SAMPLE, len(markets.mass))
    apart = plx.personalized(markets.num_users)
    ask = jax.jit(jax.vmap(lambda market: plx.worst_equilibrium(market, apart, delta)))
    first, seconds, found = clock(ask, markets)
    user, provider = arrays(markets)
    span = np.asarray(jax.vmap(lambda m: plx.benchmarks(m).aligned - plx.benchmarks(m).silent)(markets))[:, 0]
    spread = np.ptp(np.asarray(markets.provider_value), axis=(2, 3, 4))
    make_oracle = oracle_class()
    begin, solved = time.process_time(), 0
    for i in range(sample):
        oracle = make_oracle(user[i], provider[i])
        oracle.bisect(np.maximum(delta, 1e-9 * spread[i]))
        solved += oracle.solved
    exact = (time.process_time() - begin) / sample
    each = seconds / len(markets.mass)
    return report(f"frontier, 4 providers, 4 x 4, delta {delta:g}", first, each, exact) | {
        "programmes of HiGHS per market": solved / sample,
        "largest width, share of the span": float((np.asarray(found.value.width)[:, 0] / np.maximum(span, 1e-9)).max()),
        "open": int((np.asarray(found.status) == plx.Status.OPEN).sum()),
    }


def report(name, first, seconds, exact):
    micro = 1e6 * seconds
    return {
        "what": name,
        "microseconds a market": micro,
        "first call, compilation included, seconds": first,
        "HiGHS, microseconds a market": 1e6 * exact,
        "times faster": 1e6 * exact / micro,
        "wanted": WANTED.get(name),
    }


QUESTIONS = {
    "persuasion": persuasion,
    "alignment": alignment,
    "public": public,
    "frontier": lambda **given: frontier(0.0, **given),
    "frontier-delta": lambda **given: frontier(0.02, **given),
}


def measure(quick):
    """The section `questions` of `python -m benchmarks`: two of them, with few markets, where it has to be quick."""
    asked = ("persuasion", "alignment") if quick else tuple(QUESTIONS)
    found = [QUESTIONS[name](markets=64 if quick else MARKETS) for name in asked]
    widths = [each.get("largest width", each.get("largest width, share of the span")) for each in found]
    columns = ["question", "us a market", "HiGHS, us", "times faster", "widest"]
    numbers = ("microseconds a market", "HiGHS, microseconds a market", "times faster")
    rows = [
        [name, *(each[number] for number in numbers), width]
        for name, each, width in zip(asked, found, widths, strict=True)
    ]
    return {"columns": columns, "rows": rows, "notes": [f"In full: {'; '.join(each['what'] for each in found)}."]}


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    versions = {"jax": jax.__version__, "python": platform.python_version(), "device": str(jax.devices()[0])}
    print(json.dumps(versions))
    for name in sys.argv[1:] or QUESTIONS:
        print(json.dumps(QUESTIONS[name](), indent=1), flush=True)


if __name__ == "__main__":
    main()
