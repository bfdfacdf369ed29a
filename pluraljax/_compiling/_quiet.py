"""Keeps remarks of XLA's away from the terminal: nobody can act on them, and there is no setting that leaves it out."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Of code that is loaded on the machine that compiled it; what the compiler prefers (not to gather, say) is taken for a
# feature that the processor lacks. Code of another machine goes by another key.
REMARKS = (b"Assume version compatibility", b"Target machine feature +prefer-")

# The stream is the whole process's: of two threads the second would put back what the first had put there.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def without_noise() -> Iterator[None]:
    """Leaves these lines out of standard error, also where not Python writes them; no other is lost."""
    with _ONE_AT_A_TIME:
        yield from _set_aside()


def _set_aside() -> Iterator[None]:
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
                if not any(remark in line for remark in REMARKS):
                    os.write(2, line)
