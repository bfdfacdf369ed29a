"""What others' solvers take for the linear programmes of pluraljax, and how wide the brackets at their answers are.

All are given the same programmes, as `plx.persuasion` and `plx.weak_alignment` pose them, and what they return goes
through the same certified bounds. A matrix game is asked besides, which solvers of games can pose: its bracket is what
each of the two strategies guarantees. Times are CPU seconds on one core, the best of some runs, compilation left out.
"""

import math
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pluraljax as plx

from .foreign import OWN, PEERS, Batch, CannotPose, Peer
from .speed import clock

COLUMNS = ["programme", "solver", "us each", "ratio", "closed, %", "widest"]
KINDS = ("persuasion", "weak alignment", "matrix game")
SOLVERS = (OWN, *PEERS)
PATIENCE = 120  # seconds; some loops of others' have no limit


@dataclass(frozen=True)
class Posed:
    """Programmes of one kind, and what evaluates answers to them: the width of each bracket, and if it closed."""

    batch: Batch
    evaluate: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def posed_by(question: Callable[..., Any], market: plx.Market) -> Posed:
    """The programmes that a question poses about a market, one for each of its users."""
    seen = []

    def look(programs):
        seen.append(programs)
        return plx.solvers.simplex(programs)

    question(market, solver=look)
    (program,) = seen
    lead = program.matrix.shape[:-2]
    flat = lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[len(lead) :])

    def evaluate(primal, dual):
        back = lambda rows: jnp.asarray(np.nan_to_num(rows).reshape(*lead, -1), "float64")
        nothing = jnp.zeros(lead, "int32")
        found = question(market, solver=lambda _: plx.solvers.Solution(back(primal), back(dual), nothing, nothing))
        return np.asarray(found.upper - found.lower).ravel(), np.asarray(found.status).ravel() != plx.Status.OPEN

    return Posed((flat(program.matrix), flat(program.limit), flat(program.cost)), evaluate)


def matrix_games(size: int, count: int) -> Posed:
    """Games of two players with payoffs between 1 and 2: maximise the sum of y where matrix @ y <= 1, y >= 0."""
    matrix = np.random.default_rng(0).uniform(1.0, 2.0, (count, size, size))
    ones = np.ones((count, size))

    def evaluate(primal, dual):
        odds = lambda rows: np.maximum(np.nan_to_num(rows), 0.0) + 1e-300
        mixed = lambda rows: odds(rows) / odds(rows).sum(axis=1, keepdims=True)
        upper = np.einsum("gij,gj->gi", matrix, mixed(primal)).max(axis=1)
        lower = np.einsum("gi,gij->gj", mixed(dual), matrix).min(axis=1)
        return upper - lower, upper - lower < 1e-6

    return Posed((matrix, ones, ones), evaluate)


def all_posed(count: int) -> list[Posed]:
    """Programmes of each of `KINDS`: 8 evidences, 4 actions; 32 payoffs, 5 providers; 8 actions of each player."""
    draw = lambda **given: plx.families.gaussian(users=count, actions=4, states=8, prior="dirichlet", **given)(0)
    return [
        posed_by(plx.persuasion, draw(providers=1, alignment=0.0)),
        posed_by(plx.weak_alignment, draw(providers=5, alignment=1.0)),
        matrix_games(8, count),
    ]


def timed(peer: Peer, posed: Posed) -> dict[str, Any]:
    """Microseconds a programme, the share of brackets that closed, and the widest."""
    solve = peer.prepare(posed.batch)
    _, seconds, (primal, dual) = clock(solve, repeats=10)
    width, closed = posed.evaluate(primal, dual)
    widest = float(width.max())
    return {
        "us": 1e6 * seconds / len(width),
        "closed": float(100 * closed.mean()),
        "widest": widest if math.isfinite(widest) else None,
    }


def attempt(peer: Peer, posed: Posed) -> dict[str, Any]:
    """What was measured, or why nothing was."""
    try:
        return timed(peer, posed)
    except CannotPose as error:
        return {"why": f"cannot pose them: {error}"}
    except Exception as error:  # whatever a solver of others raises is what there is to say of it
        return {"why": f"failed: {' '.join(str(error).split())[:120] or repr(error)}"}


def work(sent: Connection, tasks: list[tuple[int, int]], count: int) -> None:
    """Sends what each task gives, one after the other: programmes of one kind, by one solver."""
    with jax.enable_x64(True):
        posed = all_posed(count)
        sent.send("posed")
        for kind, solver in tasks:
            sent.send(attempt(SOLVERS[solver], posed[kind]))


def results(tasks: list[tuple[int, int]], count: int) -> Iterator[dict[str, Any]]:
    """What each task gives, from a process that is started again where a solver does not come back."""
    start = multiprocessing.get_context("spawn")
    while tasks:
        received, sent = start.Pipe(duplex=False)
        process = start.Process(target=work, args=(sent, tasks, count), daemon=True)
        process.start()
        sent.close()
        try:
            received.recv()
            while tasks and received.poll(PATIENCE):
                yield received.recv()
                tasks = tasks[1:]
            if tasks:
                yield {"why": f"no answer within {PATIENCE} s"}
        except EOFError:
            yield {"why": "its process ended"}
        process.kill()
        process.join()
        tasks = tasks[1:]


def measure(quick: bool) -> dict[str, Any]:
    installed = [find_spec(peer.module) is not None for peer in SOLVERS]
    kinds = range(len(KINDS))
    here = [
        (kind, i)
        for i, peer in enumerate(SOLVERS)
        if installed[i]
        for kind in (kinds[-1:] if peer.games_only else kinds)
    ]
    rows, notes = [], {}
    own: dict[int, float] = {}
    for (kind, i), found in zip(here, results(here, 64 if quick else 256), strict=True):
        name, programmes = SOLVERS[i].name, KINDS[kind]
        if "why" in found:
            notes.setdefault(f"{name} {found['why']}", []).append(programmes)
            continue
        ratio = found["us"] / own.setdefault(kind, found["us"])
        rows.append((kind, [programmes, name, found["us"], ratio, found["closed"], found["widest"]]))
    lacking = [peer.name for peer, there in zip(SOLVERS, installed, strict=True) if not there]
    told = [f"{why} ({', '.join(programmes)})." for why, programmes in notes.items()]
    told += [f"Not installed: {', '.join(lacking)}."] if lacking else []
    return {"columns": COLUMNS, "rows": [row for _, row in sorted(rows, key=lambda row: row[0])], "notes": told}
