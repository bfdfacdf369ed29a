"""Keeps a remark of XLA's away from the terminal: nobody can act on it, and there is no setting that leaves it out."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_noise(remark: str) -> Iterator[None]:
    """Leaves lines with this remark out of standard error, also of what is not written by Python; no other is lost."""
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
                if remark.encode() not in line:
                    os.write(2, line)
