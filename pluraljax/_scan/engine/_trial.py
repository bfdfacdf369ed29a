"""Tries families of a user's own before anything is stored: whether they draw markets, and valid ones."""

from collections import Counter
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jax.random as jr

from ..._compiling._traced import QUICKLY, compile_with
from ..._families import Family
from ..._families._drawn import drawn_shapes, with_parameters
from ..._families._reference import said_by
from ..._interruption import check
from ..._market import market_status
from ..._status import Status
from ..config._config import ScanConfig
from ._batch import PRNG

# Of more cells so many are tried, spread evenly: each is compiled for itself.
_CELLS = 48


def check_families(config: ScanConfig) -> None:
    """Traces families of the user's, which is remembered; raises `ValueError` where one draws no markets.

    Those of this package have checked their parameters when they were made.
    """
    for family, cell in zip(config.families, config.cells, strict=True):
        if not isinstance(family, Family):
            check()
            drawn_shapes(family, cell.family)


@dataclass(frozen=True)
class Trial:
    """The first market of some cells of a user's own families: by cell, its status."""

    statuses: dict[int, Status]

    @property
    def is_hopeless(self) -> bool:
        """Whether not one of the markets is valid."""
        return bool(self.statuses) and not any(status.is_valid for status in self.statuses.values())

    def __str__(self) -> str:
        invalid = {cell: status for cell, status in self.statuses.items() if not status.is_valid}
        cells = f"{len(self.statuses):,} cell{'' if len(self.statuses) == 1 else 's'}"
        drawn = f"drawn: the first market of {cells} of your own families"
        if not invalid:
            return f"{drawn}; none invalid"
        lines = [f"{drawn}; {len(invalid):,} invalid"]
        for status, count in Counter(invalid.values()).most_common():
            first = next(cell for cell, found in invalid.items() if found == status)
            lines.append(f"  {count:,} {status.name}, as in cell {first}: {status.sentence}")
        return "\n".join(lines)


def try_families(config: ScanConfig) -> Trial:
    """Draws the first market of cells whose families are the user's; raises `ValueError` where that fails.

    It is the one that the scan draws. Nothing is measured or stored.
    """
    check_families(config)
    families = [(cell.index, each) for cell, each in zip(config.cells, config.families, strict=True)]
    own = [each for each in families[: config.markets] if not isinstance(each[1], Family)]
    statuses = {}
    for index, family in own[:: -(-len(own) // _CELLS)] if own else ():
        check()
        try:
            statuses[index] = _first_status(config.seed, index, family)
        except Exception as error:
            said = f"{config.cells[index].family} fails on a key{with_parameters(family)}"
            raise ValueError(f"{said}: {said_by(error)}") from error
    return Trial(statuses)


def _first_status(seed: int, market: int, family: object) -> Status:
    """The status of one market of a scan. Its compiled programme runs once, so that it is compiled quickly."""

    def draw(root: jax.Array, index: jax.Array) -> jax.Array:
        return market_status(family(jr.fold_in(jr.wrap_key_data(root, impl=PRNG), index)))  # pyright: ignore[reportCallIssue]

    with jax.enable_x64(True):
        arguments = jr.key_data(jr.key(seed, impl=PRNG)), jnp.uint32(market)
        compiled = compile_with(jax.jit(draw).lower(*arguments), QUICKLY)
        return Status(int(compiled(*arguments)))
