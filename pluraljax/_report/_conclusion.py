"""What a scan says, in a few sentences: the beginning of its report."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._read import summaries_of
from ._served import answer

if TYPE_CHECKING:
    from xarray import Dataset


def conclusion(scan: "str | Path | Dataset") -> str:
    """Says in a few sentences in how many markets competition serves every user, as the report of a scan begins.

    Where the scan did not search for worst equilibria, it says what is proved of every equilibrium.

    **Arguments:**

    - `scan`: the folder of a scan, finished or not, or what `plx.scan` and `plx.open_scan` return.

    **Returns:** a text. Raises `ValueError` where there is no scan, or not a row of it.

    Example::

        rows = plx.scan(plx.families.gaussian(providers=2, users=2), markets=16)
        print(plx.scans.conclusion(rows))
    """
    return " ".join(answer(summaries_of(scan)))
