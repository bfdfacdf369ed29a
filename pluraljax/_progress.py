"""Says how far a scan has come: a bar on a terminal, plain lines elsewhere, or nothing."""

import importlib.util
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._activity import SECONDS, Telling
from ._printable import printable_lines

_SECONDS_BETWEEN_LINES = 10.0
# Before this share is done nothing is said of the time that is left.
_FIRST = 0.1
_COMPILING = "compiling, which takes a minute or more the first time a scan of such markets runs, and seconds the next"


@dataclass(frozen=True)
class Compiled:
    """How far compiling has come: so many programmes of those that are known to be needed, and what is going on now."""

    done: int
    wanted: int
    now: str

    @property
    def is_done(self) -> bool:
        return 0 < self.wanted == self.done


class Progress(ABC):
    """What a scan tells about itself."""

    @abstractmethod
    def start(self, total: int, done: int) -> None:
        """There are `total` markets, `done` of them already stored."""

    @abstractmethod
    def advance(self, markets: int) -> None:
        """So many more are stored."""

    def compiling(self, state: "Callable[[], Compiled]") -> None:  # noqa: B027
        """`state` says how far compiling has come, whenever it is asked."""

    def idle(self, seconds: float) -> None:  # noqa: B027
        """For so long nothing was measured, since programmes were compiled: no rate follows from that."""

    def expect(self, total: int) -> None:  # noqa: B027
        """There will be `total` markets, as far as one can tell by now."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Something worth a line of its own."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will come."""


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


class _Rate:
    """How fast this process gets on with markets, apart from what was spent on compiling."""

    def __init__(self):
        self._began = self._last = time.monotonic()
        self._markets, self._idle, self._is_told = 0, 0.0, False

    def begin(self) -> None:
        """The time counts from now on."""
        self._began = self._last = time.monotonic()

    def take(self, markets: int) -> None:
        self._last = time.monotonic()
        if not self._is_told:
            # How long the first ones took is not known apart from what they waited for.
            self._began, self._is_told = self._last, True
        else:
            self._markets += markets

    def spend(self, seconds: float) -> None:
        self._idle += seconds
        self._is_told = True

    @property
    def a_second(self) -> float | None:
        """Markets a second; None as long as nothing can be said."""
        spent = self._last - self._began - self._idle
        return self._markets / spent if self._markets and spent > 0 else None


def _left(done: float, total: float, rate: float | None) -> str:
    """How long the rest takes; nothing where that is not known.

    A rate of the first few says little: programmes are loaded, and cells differ.
    """
    return "" if rate is None or done < _FIRST * total else f"about {duration((total - done) / rate)} left"


class Lines(Progress):
    """Prints a line at the start, one every ten seconds, and one at the end; and what the first ones wait for."""

    def __init__(self, task: str = "scan", unit: str = "markets"):
        self._task, self._unit = task, unit
        self._total = self._done = 0
        self._began = self._printed = time.monotonic()
        self._rate, self._waiting = _Rate(), None
        self._compiled: Callable[[], Compiled] | None = None
        self._idle, self._told = 0.0, False

    def start(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        self._began = self._printed = time.monotonic()
        self._rate.begin()
        if total:
            whole = f"{total:,} {self._unit}"
            self.note(f"{done:,} of {whole} are stored" if done else f"{whole} to measure")
        if self._unit == "markets" and total > done:
            self._waiting = Telling(self._what_compiles, SECONDS, self.note)

    def advance(self, markets: int) -> None:
        self._stop_waiting()
        self._done += markets
        self._rate.take(markets)
        now = time.monotonic()
        if now - self._printed >= _SECONDS_BETWEEN_LINES or self._done == self._total:
            self._printed = now
            rate = self._rate.a_second
            speed = "" if rate is None else f", {rate:,.0f} a second"
            if not self._total:
                self.note(f"{self._done:,} {self._unit}{speed}")
                return
            share = 100 * self._done / max(self._total, 1)
            compiling = f", {duration(self._idle)} of it compiling" if self._idle >= 1 else ""
            ending = f", {duration(now - self._began)} in all{compiling}"
            if self._done < self._total:
                left = _left(self._done, self._total, rate)
                ending = left and f", {left}"
            self.note(f"{self._done:,} of {self._total:,} {self._unit} ({share:.0f} %){speed}{ending}")

    def compiling(self, state: Callable[[], Compiled]) -> None:
        self._compiled = state

    def idle(self, seconds: float) -> None:
        self._rate.spend(seconds)
        self._idle += seconds

    def _what_compiles(self) -> str:
        """First that it takes long; after that how long it has taken, how far it has come, and what is going on."""
        state = None if self._compiled is None else self._compiled()
        passed = duration(time.monotonic() - self._began)
        if state is not None and state.is_done:
            return f"after {passed} all programmes are there; now {state.now}"
        if not self._told or state is None or not state.wanted:
            self._told = True
            return _COMPILING
        if not state.done:
            return f"still compiling after {passed}: {state.now}, the first of {state.wanted:,} programmes"
        kept = "" if os.environ.get("PLURALJAX_NO_CACHE") else ", and kept if you stop it"
        far = f"{state.done:,} of {state.wanted:,} programmes done{kept}"
        return f"still compiling after {passed}: {far}; now {state.now}"

    def expect(self, total: int) -> None:
        self._total = total

    def note(self, text: str) -> None:
        print(f"{self._task}: {printable_lines(text)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.pause()
        self._waiting = None


class Bar(Progress):
    """Draws a bar with the rate and the time left."""

    def __init__(self, task: str = "scan", unit: str = "markets"):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn(f"[bold]{task}"),
            BarColumn(),
            MofNCompleteColumn(),
            _speaking(self._speed),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )
        self._name, self._rate, self._shown = task, _Rate(), "compiling" if unit == "markets" else "starting"
        self._compiled: Callable[[], Compiled] | None = None

    def start(self, total: int, done: int) -> None:
        self._task = self._bar.add_task(self._name, total=total or None, completed=done, left="")
        self._rate.begin()
        self._bar.start()

    def advance(self, markets: int) -> None:
        self._bar.advance(self._task, markets)
        self._rate.take(markets)
        task, rate = self._bar.tasks[0], self._rate.a_second
        if rate is None:
            self._shown = ""
            self._bar.update(self._task, left="")
            return
        more = task.total is not None and task.total > task.completed
        ending = _left(task.completed, task.total, rate) if task.total is not None and more else ""
        self._shown = f"{rate:,.0f} a second"
        self._bar.update(self._task, left=ending)

    def compiling(self, state: Callable[[], Compiled]) -> None:
        self._compiled = state

    def _speed(self) -> str:
        """The rate, or what the first markets wait for."""
        if self._shown != "compiling" or self._compiled is None:
            return self._shown
        state = self._compiled()
        return state.now if state.is_done else f"compiling, {state.done:,} of {state.wanted:,}"

    def idle(self, seconds: float) -> None:
        self._rate.spend(seconds)

    def expect(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    def note(self, text: str) -> None:
        self._bar.console.print(f"{self._name}: {printable_lines(text)}", markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def _speaking(text: Callable[[], str]) -> Any:
    """A column of a bar that says what a function returns, whenever it is drawn."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Speaking(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(text())

    return Speaking()


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
