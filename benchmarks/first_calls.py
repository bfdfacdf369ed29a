"""What the first call of a question costs: `python benchmarks/first_calls.py [NAME ...]`.

CPU seconds of one market's answer in a process of its own, imports apart: with nothing kept, and in the process after
it, which finds what the first one compiled. The market is `gaussian`, 2 providers, 2 users, 3 actions, 3 states.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

QUESTIONS = {
    "weak alignment": "plx.weak_alignment(market)",
    "guarantee, anonymous": "plx.guarantee(market, plx.anonymous(2))",
    "worst equilibrium, personalized": "plx.worst_equilibrium(market, plx.personalized(2))",
    "worst equilibrium, anonymous": "plx.worst_equilibrium(market, plx.anonymous(2))",
    "silence, anonymous": "plx.silence(market, plx.anonymous(2))",
    "frontier curve": "plx.frontier_curve(market, [0.0, 0.5, 1.0])",
    "best response": "plx.best_response(market, (0, 0), talk, plx.play.silent_profile(market, (0, 0), talk))",
    "equilibrium": "plx.equilibrium(market, plx.anonymous(2), key=jax.random.key(0))",
}

PROCESS = """
import os, sys, warnings
import jax, jax.numpy as jnp
import pluraljax as plx
warnings.simplefilter("ignore")
jax.block_until_ready(jnp.zeros(3) + 1)  # starts the backend
market = plx.families.gaussian(providers=2, users=2, actions=3, states=3)(jax.random.key(0))
jax.block_until_ready(market)
talk = plx.Conversation()
before = sum(os.times()[:2])
jax.block_until_ready({call})
print(sum(os.times()[:2]) - before)
"""


def cpu_seconds(call: str, cache: str) -> float:
    """Asks in a new process, which keeps what it compiles in a folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "PLURALJAX_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS.format(call=call)],
        env=kept | {"XDG_CACHE_HOME": cache, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def first_and_next(name: str) -> list[float]:
    """CPU seconds in a process with nothing kept, and in the one after it."""
    with tempfile.TemporaryDirectory() as cache:
        return [cpu_seconds(QUESTIONS[name], cache) for _ in range(2)]


def measure(quick: bool) -> dict[str, Any]:
    """The section `first-calls` of `python -m benchmarks`: one question where it has to be quick."""
    rows = [[name, *first_and_next(name)] for name in list(QUESTIONS)[: 1 if quick else None]]
    return {"columns": ["question", "first call, CPU s", "next process, CPU s"], "rows": rows, "notes": []}


def main() -> None:
    for name in sys.argv[1:] or QUESTIONS:
        first, second = first_and_next(name)
        print(
            json.dumps({"what": name, "first call, CPU s": round(first, 2), "next process": round(second, 2)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
