"""Where the time of a scan's market goes: drawing it, its conditions, its equilibria, the second pass, and storing it.

A scan runs twice in a process of its own, on one core: what the first run compiles the second one uses, which is
measured. Programmes are waited for one after the other, so that the time of each is its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pluraljax as plx

# A stage is timed by wrapping what runs it. The store and the second pass run in threads of their own, and are timed
# there; programmes use the threads of XLA, so that theirs is the time of the process.
PROCESS = """
import json, sys, time
import jax
import pluraljax as plx
from pluraljax._scan.engine import _batch, _finish, _run
from pluraljax._scan.store._store import Store

spent = {}
def timed(name, function, clock):
    def outer(*arguments, **named):
        began = clock()
        try:
            return jax.block_until_ready(function(*arguments, **named))
        finally:
            spent[name] = spent.get(name, 0.0) + clock() - began
    return outer

compile_one = _batch._compile
def compile_timed(layout, program, arguments, key, options):
    name = "draw" if key[0] == "draw" else type(key[3]).__name__.lower()
    return timed(name, compile_one(layout, program, arguments, key, options), time.process_time)
_batch._compile = compile_timed
_finish._again = timed("second pass", _finish._again, time.thread_time)
for name in ("write", "record", "covered"):
    setattr(Store, name, timed("store", getattr(Store, name), time.thread_time))
study, out = sys.argv[1:]
config = plx.scans.ScanConfig.from_toml(study)
for turn in ("warm", "timed"):
    spent.clear()
    began = time.process_time()
    with Store(f"{out}/{turn}", config) as store:
        summary = _run.run(config, store)
    total = time.process_time() - began
print(json.dumps({"total": total, "spent": spent, "again": summary.second_pass}))
"""
STAGES = ("draw", "conditions", "equilibria", "second pass", "store")


def study(quick: bool) -> plx.scans.ScanConfig:
    sizes = {"providers": 2, "users": 2, "actions": 2, "states": 2}
    sizes = sizes if quick else {"providers": 4, "users": 3, "actions": 4, "states": 4}
    grid = (plx.scans.FamilyGrid("gaussian", sizes | {"shared": [0.0, 1.0]}),)
    return plx.scans.ScanConfig(grid, markets=64 if quick else 8192, equilibria=not quick)


def measure(quick: bool) -> dict[str, Any]:
    config = study(quick)
    with tempfile.TemporaryDirectory(prefix="stages-") as folder:
        file = Path(folder) / "study.toml"
        file.write_text(config.to_toml())
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, str(file), folder],
            env=os.environ | {"PLURALJAX_QUIET": "1", "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    times = {name: found["spent"].get(name, 0.0) for name in STAGES}
    if unknown := found["spent"].keys() - times.keys():
        raise RuntimeError(f"Stages that are not known: {', '.join(sorted(unknown))}.")
    times |= {"everything else": found["total"] - sum(times.values()), "all": found["total"]}
    rows = [[name, 1e6 * seconds / config.markets, 100 * seconds / found["total"]] for name, seconds in times.items()]
    sizes = config.grid[0].parameters
    notes = [
        f"{config.markets:,} gaussian markets, {sizes['providers']} providers, {sizes['users']} users, "
        f"{sizes['actions']} actions, {sizes['states']} states; {found['again']} took a second pass."
    ]
    return {"columns": ["stage", "us a market", "share, %"], "rows": rows, "notes": notes}
