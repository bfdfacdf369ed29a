"""Codes of events, as whoever counts them takes them, from a table of a scan's rows."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def codes_of(table: pa.Table, name: str) -> np.ndarray:
    """A column of events as 1 (yes), 0 (no) and -1 (open); one of statuses, or cells, as it is."""
    column = table.column(name)
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return pc.fill_null(column, -1).to_numpy()
