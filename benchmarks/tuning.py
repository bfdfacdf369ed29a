"""Tunes 512 markets at once, each a rule of its own: `python benchmarks/tuning.py`.

Subsidies by action and state for 3 users, 3 providers, 3 actions and 3 states (`gaussian`): 200 Adam steps on the weak
alignment error plus a price on the subsidy's norm; then every market is certified before and after. Reports seconds
and the largest resident memory of the process, for all 512 and for a quarter of them.
"""

import json
import platform
import resource
import time

import jax
import jax.random as jr

import pluraljax as plx

WANTED_SECONDS = 300.0
STEPS = 200


def main():
    print(json.dumps({"jax": jax.__version__, "python": platform.python_version(), "device": str(jax.devices()[0])}))
    family = plx.families.gaussian(providers=3, users=3, actions=3, states=3)
    for markets in (128, 512):
        batch = jax.jit(jax.vmap(family))(jr.split(jr.key(0), markets))
        begin = time.perf_counter()
        schedule = plx.Schedule(steps=STEPS, rate=0.05, price=0.02)
        tuned = plx.tune("weak_error", plx.Subsidy(by="outcome"), batch, schedule=schedule)
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


if __name__ == "__main__":
    main()
