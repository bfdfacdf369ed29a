"""What a GPU makes of the questions, and whether it finds what the CPU finds: `python benchmarks/gpu.py [NAME ...]`.

    python benchmarks/gpu.py [--markets 4096] [--repeats 5] [--scan 20000] [programmes weak silence ...]
    python benchmarks/gpu.py --solver simplex_in_kernel --scan 0  # all pivots of a linear programme in one launch

Runs on JAX's first device, whatever that is; on a CPU it is compared with itself. Markets are drawn once, on the CPU,
and are the same for both: `gaussian`, 2 providers, 2 users, 4 actions, 4 states. `programmes` is what all questions
spend their time on, a batch of linear programmes of the size of persuasion. The scan is one of two cells of such
markets, and is timed as it comes, compilation included, and once more without.

Of each question: seconds to compile it; milliseconds of a call, the best of some; microseconds a market, and the same
on one CPU device. Then what a call costs besides arithmetic. `kernels`: operations of the compiled text that have to
be launched. `looped`: those of them that are launched again at each turn of a loop. `MB`: what XLA counts as read and
written, each loop run once. `held MB`: what it holds beside arguments and results. Last, of the answers: how many
brackets lie `apart` from the CPU's, which cannot be where both are right; how `far` an end is from the CPU's at most;
how many rows are `open` here, and on the `CPU`. Distances are in units of the largest payoff range. Exits with status
1 where a bracket lies apart.
"""

import argparse
import functools
import json
import platform
import re
import time
import warnings

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import pluraljax as plx

SIZES = {"providers": 2, "users": 2, "actions": 4, "states": 4}
FAMILY = plx.families.gaussian(**SIZES, prior="dirichlet")
QUESTIONS = {
    "weak": plx.weak_alignment,
    "strong": lambda market, solver: plx.strong_alignment(market, scale="free", solver=solver),
    "guarantee": lambda market, solver: plx.guarantee(market, plx.anonymous(2), solver=solver),
    "persuasion": plx.persuasion,
    "worst": lambda market, solver: plx.worst_equilibrium(market, plx.personalized(2)),
    "silence": lambda market, solver: plx.silence(market, plx.anonymous(2), solver=solver),
}
# Rows and columns of the programme of persuasion with 8 evidences and 4 actions.
ROWS, COLUMNS = 25, 32
# Brackets that miss each other by less do so by rounding.
ROUNDING = 1e-9
# What is not launched: it is done by the operations that it holds, when the programme is compiled, or not at all.
SILENT = {"while", "conditional", "call", "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
OPERATION = re.compile(r" = (?:\(.*?\)|\S+) ([a-z][\w-]*)\(")
HELD = re.compile(
    r"(?:body|condition|to_apply|true_computation|false_computation)=(%[\w.-]+)|branch_computations={(.*?)}"
)
HEADINGS = ("compile s", "ms", "us each", "CPU us", "kernels", "looped", "MB", "held MB", "apart", "far", "open", "CPU")


def question(name, solver):
    """What is asked of a batch."""
    return jax.vmap(functools.partial(QUESTIONS[name], solver=solver)) if name in QUESTIONS else solver


def launches(text):
    """How many operations of a compiled text are launched, and how many of them in loops."""
    lines, entry, name = {}, "", ""
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        if line.endswith("{") and not line.startswith((" ", "HloModule")):
            name = line.removeprefix("ENTRY ").split()[0]
            lines[name], entry = [], name if line.startswith("ENTRY") else entry
        elif found := OPERATION.search(line):
            lines[name].append((found[1], line))
    total, looped, left = 0, 0, [(entry, False)]
    while left:
        name, in_loop = left.pop()
        for operation, line in lines[name]:
            total += operation not in SILENT
            looped += in_loop and operation not in SILENT
            if operation in ("while", "conditional", "call"):
                inside = [each for one, some in HELD.findall(line) for each in [one, *some.split(", ")] if each]
                left += [(each, in_loop or operation == "while") for each in inside]
    return total, looped


def run(ask, argument, device, repeats):
    """Compiles and asks a question on a device; returns the answer and what it took."""
    argument = jax.device_put(argument, device)
    began = time.perf_counter()
    compiled = jax.jit(ask).lower(argument).compile()
    compiling, seconds = time.perf_counter() - began, []
    found = jax.block_until_ready(compiled(argument))
    for _ in range(repeats):
        began = time.perf_counter()
        found = jax.block_until_ready(compiled(argument))
        seconds.append(time.perf_counter() - began)
    analysis = compiled.cost_analysis() or {}
    kernels, looped = launches(compiled.as_text())
    memory = compiled.memory_analysis()
    cost = {"compile s": compiling, "ms": 1e3 * min(seconds), "kernels": kernels, "looped": looped}
    cost |= {"MB": analysis.get("bytes accessed", np.nan) / 1e6}
    return found, cost | {"held MB": np.nan if memory is None else memory.temp_size_in_bytes / 1e6}


def ends(found, argument):
    """Both ends of the answer's brackets, in units of the largest payoff range.

    Of a linear programme: what its primal solution is worth, and the price of its dual one.
    """
    if isinstance(argument, plx.solvers.LinearProgram):
        pairs = (argument.cost, found.primal), (argument.limit, found.dual)
        return [np.einsum("pi,pi->p", *map(np.asarray, pair)) for pair in pairs]
    scale = max(np.ptp(np.asarray(leaf)) for leaf in (argument.user_value, argument.provider_value))
    return [np.asarray(end) / scale for end in (found.value.lower, found.value.upper)]


def compare(bracket, other):
    """How many brackets have nothing in common with those beside them, and how far an end is from its like at most."""
    (lower, upper), (other_lower, other_upper) = bracket, other
    meet = (lower <= other_upper + ROUNDING) & (other_lower <= upper + ROUNDING)
    far = np.maximum(np.abs(lower - other_lower), np.abs(upper - other_upper))
    return {"apart": int((~meet).sum()), "far": float(far.max())}


def count_open(found):
    """Rows that are not answered: 0 is what a question and a solver say where they are."""
    return int((np.asarray(found.status) != 0).sum())


def linear_programs(count):
    """Dense programmes whose entries are of order one, half of them negative, and bounded by their last row."""
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1.0, 1.0, (count, ROWS, COLUMNS))
    matrix[:, -1] = 1.0
    limit, cost = rng.uniform(0.0, 1.0, (count, ROWS)), rng.uniform(-1.0, 1.0, (count, COLUMNS))
    with jax.enable_x64(True):
        return plx.solvers.LinearProgram(*(jnp.asarray(leaf) for leaf in (matrix, limit, cost)))


def scan(markets):
    """Seconds of a scan with and without what was compiled before, and how many of its rows are open."""
    config = plx.scans.ScanConfig.from_mapping(
        {"markets": markets, "grid": [{"family": "gaussian", **SIZES, "shared": [0.0, 1.0]}]}
    )

    def timed():
        began = time.perf_counter()
        rows = plx.scan(config, progress=False)
        return time.perf_counter() - began, int((rows["status"].values == int(plx.Status.OPEN)).sum())

    (first, _), (second, still_open) = timed(), timed()
    per_market = {"us each": 1e6 * second / markets, "open": still_open}
    return {"markets": markets, "first, s": first, "second, s": second} | per_market


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"programmes, {', '.join(QUESTIONS)} (default: all)")
    parser.add_argument("--markets", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scan", type=int, default=20_000, help="markets of the scan; 0 for none")
    parser.add_argument(
        "--solver",
        choices=("simplex", "simplex_in_kernel"),
        default="simplex",
        help="on the device; of all questions but worst",
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - {"programmes", *QUESTIONS}:
        parser.error(f"{', '.join(sorted(unknown))} is none of programmes, {', '.join(QUESTIONS)}.")
    warnings.simplefilter("ignore", plx.PrecisionWarning)  # what is computed here is computed by NumPy
    device, cpu = jax.local_devices()[0], jax.local_devices(backend="cpu")[0]
    about = {
        "jax": jax.__version__,
        "python": platform.python_version(),
        "markets": asked.markets,
        "solver": asked.solver,
    }
    print(json.dumps(about | {"device": f"{device.device_kind} ({device.platform})"}))
    print(f"{'':12}" + "".join(f"{heading:>10}" for heading in HEADINGS))
    with jax.default_device(cpu):
        markets = jax.block_until_ready(jax.vmap(FAMILY)(jr.split(jr.key(0), asked.markets)))
    apart = 0
    for name in asked.names or ["programmes", *QUESTIONS]:
        argument = markets if name in QUESTIONS else linear_programs(asked.markets)
        found, row = run(question(name, getattr(plx.solvers, asked.solver)), argument, device, asked.repeats)
        other, on_cpu = run(question(name, plx.solvers.simplex), argument, cpu, asked.repeats)
        row |= {"us each": 1e3 * row["ms"] / asked.markets, "CPU us": 1e3 * on_cpu["ms"] / asked.markets}
        row |= compare(ends(found, argument), ends(other, argument))
        row |= {"open": count_open(found), "CPU": count_open(other)}
        apart += row["apart"]
        print(f"{name:12}" + "".join(f"{row[heading]:>10.4g}" for heading in HEADINGS), flush=True)
    if asked.scan:
        print(json.dumps({"what": "scan"} | {name: float(f"{value:.4g}") for name, value in scan(asked.scan).items()}))
    if apart:
        raise SystemExit(f"{apart} brackets lie apart from the CPU's.")


if __name__ == "__main__":
    main()
