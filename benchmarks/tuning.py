"""What tuning costs, and how exact its derivatives are.

    python benchmarks/tuning.py batch          # 512 markets tuned at once, each a rule of its own
    python benchmarks/tuning.py derivatives    # of equilibria and certified optima, on 200 markets

`batch`: subsidies by action and state for 3 users, 3 providers, 3 actions and 3 states (`gaussian`), 200 Adam steps on
the weak alignment error plus a price on the subsidy's norm; then every market is certified before and after. Reports
seconds and the largest resident memory of the process, for all 512 and for a quarter of them.

`derivatives`: relative errors against central differences, for random directions in each array of 2 x 2 markets with 3
actions and 3 states; a market counts where slopes on both sides of the step agree (no kink lies within it). Softened
equilibria move in all arrays and temperatures at once, and all their derivatives are timed against one solve.
"""

import argparse
import json
import platform
import resource
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import pluraljax as plx

WANTED_SECONDS = 300.0
STEPS = 200
FIELDS = ("user_value", "provider_value", "mass", "prior")
OPTIMA = {
    "weak_alignment": lambda market: plx.weak_alignment(market).value.upper,
    "strong_alignment": lambda market: plx.strong_alignment(market).value.upper[None],
    "guarantee": lambda market: plx.guarantee(market, (0, 1), 0.02).lower,
    "worst_value": lambda market: plx.tuning.worst_value(market, 0.02).value.upper,
}


def batch() -> None:
    family = plx.families.gaussian(providers=3, users=3, actions=3, states=3)
    seconds = 0.0
    for markets in (128, 512):
        drawn = jax.jit(jax.vmap(family))(jr.split(jr.key(0), markets))
        begin = time.perf_counter()
        schedule = plx.tuning.Schedule(steps=STEPS, rate=0.05, price=0.02)
        tuned = plx.tuning.tune("weak_error", plx.tuning.Subsidy(by="outcome"), drawn, schedule=schedule)
        seconds = time.perf_counter() - begin
        report = {
            "markets": markets,
            "steps": STEPS,
            "seconds, compilation included": round(seconds, 1),
            "largest resident memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "certified weak error, before": float(tuned.before.weak_error.mean()),
            "certified weak error, after": float(tuned.after.weak_error.mean()),
            "certified worst value, before": float(tuned.before.worst_lower.mean()),
            "certified worst value, after": float(tuned.after.worst_lower.mean()),
            "markets not closed": int((tuned.after.status != 0).sum()),
        }
        print(json.dumps(report, indent=2), flush=True)
    print("within the budget" if seconds < WANTED_SECONDS else "over the budget")


def directions(markets, fields):
    """Random directions in some arrays; priors go on summing to 1."""
    rng = np.random.default_rng(0)
    prior = np.asarray(markets.prior)
    step = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), markets)
    moved = step.prior * prior - prior * (step.prior * prior).sum(axis=(2, 3, 4), keepdims=True)
    chosen = {"prior": moved, **{name: getattr(step, name) for name in FIELDS if name != "prior"}}
    pick = lambda market: tuple(getattr(market, name) for name in fields)
    return eqx.tree_at(pick, jax.tree.map(jnp.zeros_like, markets), tuple(jnp.asarray(chosen[name]) for name in fields))


def optima(markets, length=1e-4) -> None:
    for name, question in OPTIMA.items():

        def along(market, step, at, question=question):
            value = lambda at: question(jax.tree.map(lambda leaf, by: leaf + at * by, market, step))
            return jax.jvp(value, (at,), (jnp.ones(()),))

        program = jax.jit(jax.vmap(along, in_axes=(0, 0, None)))
        kink = (
            jax.jit(jax.vmap(lambda market: plx.tuning.worst_value(market, 0.02).kink))
            if name == "worst_value"
            else None
        )
        for field in FIELDS:
            step = directions(markets, (field,))
            sides = [program(markets, step, jnp.asarray(at)) for at in (0.0, length, -length)]
            (_, slope), (ahead, rising), (behind, falling) = (tuple(map(np.asarray, side)) for side in sides)
            secant = (ahead - behind) / (2 * length)
            smooth = np.abs(rising - falling) <= 1e-2 * (np.abs(slope) + 1e-3)
            if kink is not None:
                smooth &= ~np.asarray(kink(markets))
            size = np.maximum(np.abs(secant), max(1e-3 * np.abs(secant).mean(), 1e-6))
            error = (np.abs(slope - secant) / size)[smooth]
            report = {"largest": error.max(), "median": np.median(error), "smooth": smooth.mean()}
            print(json.dumps({"optimum": name, "array": field} | {k: float(v) for k, v in report.items()}), flush=True)


def softened(markets, length=1e-4) -> None:
    talk, step = plx.Conversation(signals=3), directions(markets, FIELDS)

    def along(market, step, at):
        moved = jax.tree.map(lambda leaf, by: leaf + at * by, market, step)
        found = plx.tuning.soft_equilibrium(moved, (0, 1), talk, plx.Logit(0.3 + 0.1 * at), 0.2 + 0.1 * at)
        return jnp.concatenate([found.user_value, found.provider_value]), found.solved

    solve = jax.jit(jax.vmap(along, in_axes=(0, 0, None)))
    start, one = jnp.zeros(()), jnp.ones(())
    tangent = jax.jit(jax.vmap(lambda m, s: jax.jvp(lambda at: along(m, s, at)[0], (start,), (one,))[1]))
    (_, solved), (ahead, _), (behind, _) = (solve(markets, step, jnp.asarray(at)) for at in (0.0, length, -length))
    secant, slope = np.asarray(ahead - behind) / (2 * length), np.asarray(tangent(markets, step))
    error = np.linalg.norm(slope - secant, axis=-1) / np.linalg.norm(secant, axis=-1)
    error = error[np.asarray(solved)]
    # Derivatives of users' welfare with respect to every array and temperature at once.
    total = lambda market, step, at: along(market, step, at)[0][:2].sum()
    reverse = jax.jit(jax.vmap(jax.grad(total, argnums=(0, 2)), in_axes=(0, 0, None)))
    alone, both = (cpu_seconds(lambda run=run: run(markets, step, start)) for run in (solve, reverse))
    report = {"solved": int(solved.sum()), "of": len(solved), "largest": float(error.max())}
    report |= {"median": float(np.median(error)), "solve and all derivatives, in solves": both / alone}
    print(json.dumps({"equilibrium": "softened"} | report))


def cpu_seconds(run) -> float:
    jax.block_until_ready(run())
    times = []
    for _ in range(3):
        began = time.process_time()
        jax.block_until_ready(run())
        times.append(time.process_time() - began)
    return min(times)


def derivatives() -> None:
    with jax.enable_x64(True):
        family = plx.families.gaussian(providers=2, users=2, actions=3, states=3)
        markets = jax.jit(jax.vmap(family))(jr.split(jr.key(0), 200))
        softened(markets)
        optima(markets)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=("batch", "derivatives"))
    asked = parser.parse_args().question
    print(json.dumps({"jax": jax.__version__, "python": platform.python_version(), "device": str(jax.devices()[0])}))
    batch() if asked == "batch" else derivatives()
