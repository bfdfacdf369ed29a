"""Keeps remarks of XLA's off the terminal: nobody can act on them, and there is no setting that leaves them out."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_noise(*remarks: str) -> Iterator[None]:
    """Leaves lines with such remarks out of standard error, also of what is not written by Python; no other is lost."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is no such stream
        yield
        return
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            aside.seek(0)
            for line in aside:
                if not any(remark.encode() in line for remark in remarks):
                    os.write(2, line)
