"""What others' solvers take for the linear programmes of pluraljax, and how wide the brackets at their answers are.

All are given the same programmes, as `plx.persuasion` and `plx.weak_alignment` pose them, and what they return goes
through the same certified bounds. A matrix game is asked besides, which solvers of games can pose: its bracket is what
each of the two strategies guarantees. Times are CPU seconds on one core, the best of some runs, compilation left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

import pluraljax as plx

from .foreign import OWN, PEERS, Batch, CannotPose, Peer
from .speed import clock

COLUMNS = ["programme", "solver", "us each", "times as long", "closed, %", "widest"]


@dataclass(frozen=True)
class Posed:
    """Programmes of one kind, and what evaluates answers to them: the width of each bracket, and if it closed."""

    name: str
    batch: Batch
    evaluate: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    game: bool = False


def posed_by(name: str, question: Callable[..., Any], market: plx.Market) -> Posed:
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
        return np.asarray(found.width).ravel(), np.asarray(found.status).ravel() != plx.Status.OPEN

    return Posed(name, (flat(program.matrix), flat(program.limit), flat(program.cost)), evaluate)


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

    return Posed(f"matrix game, {size} x {size}", (matrix, ones, ones), evaluate, game=True)


def all_posed(count: int) -> list[Posed]:
    draw = lambda **given: plx.families.gaussian(users=count, actions=4, states=8, prior="dirichlet", **given)(0)
    return [
        posed_by("persuasion, 8 evidences x 4 actions", plx.persuasion, draw(providers=1, alignment=0.0)),
        posed_by("weak alignment, 32 payoffs x 5 providers", plx.weak_alignment, draw(providers=5, alignment=1.0)),
        matrix_games(8, count),
    ]


def timed(peer: Peer, posed: Posed) -> dict[str, Any]:
    """Microseconds a programme, the share of brackets that closed, and the widest."""
    solve = peer.prepare(posed.batch)
    _, seconds, (primal, dual) = clock(solve, repeats=10)
    width, closed = posed.evaluate(primal, dual)
    return {"us": 1e6 * seconds / len(width), "closed": float(100 * closed.mean()), "widest": float(width.max())}


def measure(quick: bool) -> dict[str, Any]:
    rows, failed = [], {}
    for posed in all_posed(64 if quick else 256):
        own = None
        for peer in (OWN, *(each for each in PEERS if posed.game or not each.games_only)):
            try:
                found = timed(peer, posed)
            except ModuleNotFoundError as error:
                failed[peer.name] = f"not installed (no {error.name})"
            except CannotPose as error:
                failed[peer.name] = f"cannot pose them: {error}"
            except Exception as error:  # whatever a solver of others raises is what there is to say of it
                failed[peer.name] = f"failed on {posed.name}: {str(error).splitlines()[0] if str(error) else error!r}"
            else:
                own = own or found["us"]
                rows.append([posed.name, peer.name, found["us"], found["us"] / own, found["closed"], found["widest"]])
    notes = [f"{name}: {reason}." for name, reason in failed.items()]
    return {"columns": COLUMNS, "rows": rows, "notes": notes}
