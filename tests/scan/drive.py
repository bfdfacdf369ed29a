"""Runs the tiny scan in a process of its own, with the stand-in measure: `drive.py OUT MODE`.

Modes: `run`; `die`, which kills the process with SIGKILL as it is about to make its fourth chunk visible; `slow`, which
sleeps after each chunk, so that others can interrupt it; `cli`, slow and through the command line.
"""

import os
import signal
import sys
import time

import stand_in
from tiny import tiny

from pluraljax._scan import _chunk
from pluraljax._scan._store import Store


def main(out: str, mode: str) -> int:
    stand_in.install()
    if mode == "die":
        replace, calls = os.replace, []

        def die(source, target):
            calls.append(target)
            # The manifest is the first.
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        _chunk.os.replace = die
    if mode in ("slow", "cli"):
        write = Store.write

        def slow(*args):
            write(*args)
            time.sleep(0.3)

        Store.write = slow
    if mode == "cli":
        from pluraljax._cli import main

        # As which it leaves without waiting for compilers.
        sys.argv[0] = "pluraljax"
        return main(["scan", out + ".toml", "--out", out])
    import pluraljax as plx

    plx.scan(tiny(), out)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
