"""Runs the tiny scan in a process of its own, with the stand-in measure: `drive.py OUT MODE`.

Modes: `run`, with JAX prepared as by the command line; `die`, which kills the process with SIGKILL as it is about to
make its fourth chunk visible; `slow`, which sleeps after each chunk, so that others can interrupt it; `cli`, slow and
through the command line; `discarded`, the same, and it gets a SIGTERM in a callback that discards what is raised in it;
`full`, through the command line with no room for a fourth chunk; `cluster`, on three workers, of which one is killed on
the way.
"""

import os
import resource
import signal
import sys
import time

COMMAND_LINE = ("cli", "discarded", "full")


def main(out: str, mode: str) -> int:
    if mode in COMMAND_LINE:
        return through_the_command_line(out, mode)
    prepare(out, mode)
    if mode == "cluster":
        return cluster(out)
    from tiny import tiny

    import pluraljax as plx

    if mode == "run":
        from pluraljax._compiling._prepare import prepare_jax

        prepare_jax()
    plx.scan(tiny(), out)
    return 0


def through_the_command_line(out: str, mode: str) -> int:
    """As the command does, nothing slow is imported before the command line has taken the signals."""
    from pluraljax import _cli

    within_memory = _cli.within_memory

    def prepared(args, command):
        prepare(out, mode)
        return within_memory(args, command)

    _cli.within_memory = prepared
    # What starts the tests in the background may have this signal ignored, which processes inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["pluraljax", "scan", out + ".toml", "--out", out]
    return _cli.main()


def prepare(out: str, mode: str) -> None:
    """Puts the stand-in in place, and whatever the mode has happen."""
    import stand_in

    from pluraljax import _atomic
    from pluraljax._scan.store._store import Store

    stand_in.install()
    if mode == "die":
        replace, calls = os.replace, []

        def die(source, target):
            # The manifest is the first; what the compiler keeps is elsewhere.
            if str(target).startswith(out):
                calls.append(target)
            if len(calls) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)

        _atomic.os.replace = die
    write, written = Store.write, []
    if mode in ("slow", "cli", "discarded"):

        def slow(*args):
            write(*args)
            time.sleep(0.3)

        Store.write = slow
    if mode == "discarded":
        stand_in.signal_in_a_callback(signal.SIGTERM)
    if mode == "full":

        def crowded(*args):
            if len(written) == 3:
                # From here on no file can hold a whole chunk; the system says so in the middle of writing.
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            written.append(args)
            write(*args)

        Store.write = crowded


def cluster(out: str) -> int:
    """Loses a worker after two chunks; says how many workers there were and how many markets were measured."""
    # Workers are processes of their own, in which the stand-in is to be put in place, too.
    os.environ["DASK_DISTRIBUTED__WORKER__PRELOAD"] = "stand_in"
    from tiny import tiny

    from pluraljax._progress import Silent
    from pluraljax._scan.engine._cluster import connect
    from pluraljax._scan.engine._run import run
    from pluraljax._scan.store._store import Store

    class Killing(Silent):
        chunks = 0

        def advance(self, markets):
            self.chunks += 1
            if self.chunks == 2:
                os.kill(workers[0], signal.SIGKILL)

    with connect("local:3") as measure:
        workers = list(measure.args[0].run(os.getpid).values())
        with Store(out, tiny()) as store:
            print(len(workers), run(tiny(), store, Killing(), measure=measure).measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
