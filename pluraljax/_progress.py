"""Says how far a scan has come: a bar on a terminal, plain lines elsewhere, or nothing."""

import importlib.util
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from ._printable import printable_lines

_SECONDS_BETWEEN_LINES = 10.0


class Progress(ABC):
    """What a scan tells about itself."""

    @abstractmethod
    def start(self, total: int, done: int) -> None:
        """There are `total` markets, `done` of them already stored."""

    @abstractmethod
    def advance(self, markets: int) -> None:
        """So many more are stored."""

    def expect(self, total: int) -> None:  # noqa: B027
        """There will be `total` markets, as far as one can tell by now."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Something worth a line of its own."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""


@contextmanager
def told_if_long(text: str, seconds: float = 2.0) -> Iterator[None]:
    """Says on a terminal what is going on, once it takes longer than so many seconds; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(seconds, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def make_progress(shown: bool, task: str = "scan", unit: str = "markets") -> Progress:
    """A rich bar on a terminal and in a notebook that can show one, plain lines elsewhere, nothing if not `shown`.

    `task` is what is going on, and `unit` what there are many of; of these the total may be unknown, which is 0.
    """
    if not shown:
        return Silent()
    return Bar(task, unit) if sys.stderr.isatty() or _in_notebook() else Lines(task, unit)


def _in_notebook() -> bool:
    """Whether this is a notebook's kernel, with the widgets that bars are made of there."""
    return "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None


class Silent(Progress):
    """Says nothing."""

    def start(self, total: int, done: int) -> None:
        pass

    def advance(self, markets: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lines(Progress):
    """Prints a line at the start, one every ten seconds, and one at the end."""

    def __init__(self, task: str = "scan", unit: str = "markets"):
        self._task, self._unit = task, unit
        self._total = self._done = self._new = 0
        self._began = self._printed = time.monotonic()

    def start(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._began = self._printed = time.monotonic()
        if total:
            whole = f"{total:,} {self._unit}"
            self.note(f"{done:,} of {whole} are stored" if done else f"{whole} to measure")

    def advance(self, markets: int) -> None:
        self._done += markets
        self._new += markets
        now = time.monotonic()
        if now - self._printed >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            self._printed = now
            rate = self._new / max(now - self._began, 1e-9)
            if not self._total:
                self.note(f"{self._done:,} {self._unit}, {rate:,.0f} a second")
                return
            left = (self._total - self._done) / max(rate, 1e-9)
            share = 100 * self._done / max(self._total, 1)
            ending = f"about {duration(left)} left" if self._done < self._total else f"{duration(now - self._began)}"
            self.note(f"{self._done:,} of {self._total:,} {self._unit} ({share:.0f} %), {rate:,.0f} a second, {ending}")

    def expect(self, total: int) -> None:
        self._total = total

    def note(self, text: str) -> None:
        print(f"{self._task}: {printable_lines(text)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class Bar(Progress):
    """Draws a bar with the rate and the time left."""

    def __init__(self, task: str = "scan", unit: str = "markets"):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn(f"[bold]{task}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )
        self._name, self._new = task, 0
        self._first = "compiling" if unit == "markets" else "starting"

    def start(self, total: int, done: int) -> None:
        self._began = time.monotonic()
        self._task = self._bar.add_task(self._name, total=total or None, completed=done, rate=self._first, left="")
        self._bar.start()

    def advance(self, markets: int) -> None:
        self._new += markets
        self._bar.advance(self._task, markets)
        rate = self._new / max(time.monotonic() - self._began, 1e-9)
        task = self._bar.tasks[0]
        left = (task.total - task.completed) / max(rate, 1e-9) if task.total else 0
        ending = f"about {duration(left)} left" if left else ""
        self._bar.update(self._task, rate=f"{rate:,.0f} a second", left=ending)

    def expect(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    def note(self, text: str) -> None:
        self._bar.console.print(f"{self._name}: {printable_lines(text)}", markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """A time in words, in its two largest units."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
