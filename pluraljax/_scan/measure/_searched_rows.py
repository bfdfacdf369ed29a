"""Searches some markets of a scan for the worst equilibria of one anonymous policy, on the host."""

from collections.abc import Callable, Mapping

import jax
import numpy as np

from ..._market import Market
from ..._segments import anonymous
from ..._served import SERVED, everybody, intersected, is_served, served_level
from ..._worst_shared import worst_equilibria
from ._measurement import Stopped

# Markets that are laid out at a time: bounds memory, and how long nobody asks whether to stop.
_TOGETHER = 64


def measure_searched(
    markets: Market,
    delta: float,
    known: Mapping[str, np.ndarray],
    budget: int,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, np.ndarray]:
    """Computes all of `SEARCHED` for a batch of markets.

    **Arguments:**

    - `markets`: a batch, with no twins of providers: a twin is somebody else to talk to.
    - `delta`: slack of the equilibria; >= 0.
    - `known`: the columns that `Searched` needs, of the same markets.
    - `budget`: the number of parts to look at in each market.
    - `stopped`: asked between two steps; once it is true, `Stopped` is raised.

    **Returns:** an array per column, `[market]` or `[market user]`; each market's numbers depend on it alone. A search
    ends once it is known whether everybody is served. Markets that are too large for it have the bracket that is known
    without one.
    """

    def look(done: int, total: int) -> None:
        if stopped():
            raise Stopped

    base = np.stack([known[f"anonymous_worst_{end}"] for end in ("lower", "upper")])
    parts = [slice(start, start + _TOGETHER) for start in range(0, len(base[0]), _TOGETHER)]
    users = anonymous(markets.user_value.shape[1])
    # The search runs on the host; what little it asks of JAX is not worth the way to an accelerator.
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        found = [
            worst_equilibria(
                jax.tree.map(lambda leaf, part=part: leaf[part], markets),
                users,
                delta,
                budget,
                unsearched=base[:, part],
                level=1.0 - SERVED,
                progress=look,
            )
            for part in parts
        ]
    ends = [np.concatenate(ends) for ends in zip(*((each.lower, each.upper) for each in found), strict=True)]
    level = served_level(known["silent"], known["aligned"], known["payoff_range"])
    # Both brackets hold, so that both may decide; where they contradict each other one does not, and neither decides.
    together = intersected(np.stack(ends), base, known["payoff_range"])
    apart = known["personalized_worst_lower"], known["personalized_worst_upper"]
    return {
        "anonymous_searched_lower": ends[0],
        "anonymous_searched_upper": ends[1],
        "personalized_served": everybody(is_served(*apart, level)),
        "anonymous_served": everybody(is_served(together[0], together[1], level)),
    }
