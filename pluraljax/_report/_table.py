"""The report as text: how often alignment holds, how much is guaranteed, and everything that went wrong."""

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from .._printable import printable
from .._scan.config._stopping import Stopping
from .._scan.measure._columns import EQUILIBRIA, FOUND, ROBUST, SEARCHED
from .._status import Status
from ._comparisons import interval_name, paired_columns, stopping_columns, stopping_line
from ._layout import Group, group_cells, readable, show
from ._served import (
    MEANING,
    OUTCOMES,
    headline,
    known_of_undecided,
    pooled,
    searched,
    served_columns,
    share_of,
    show_share,
    surely,
    undecided,
)
from ._summary import CONFIDENCE, BracketMoments, CellSummary, Proportion

PLAIN_WIDTH = 100
WIDEST_NAME = 16
# Cells named in a message; summary.csv has them all.
MOST_CELLS = 8
_FOUND_EVENTS = {column.name for column in FOUND if column.kind == "event"}
_ROBUST_EVENTS = {column.name for column in ROBUST if column.kind == "event"}
_SEARCHED_EVENTS = {column.name for column in SEARCHED if column.kind == "event"}
_EQUILIBRIUM_EVENTS = {column.name for column in EQUILIBRIA if column.kind == "event"}
# Ends of a mean further apart than this are shown as a range.
SAME_MEAN = 5e-4


@dataclass(frozen=True)
class _Column:
    """A column of a table: its heading, and the text of its entry for one cell."""

    heading: str
    entry: Callable[[CellSummary], str]


def print_report(
    summaries: Sequence[CellSummary],
    console: Console,
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
) -> None:
    """Prints the report: styled on a terminal wide enough for it, as plain aligned text anywhere else."""
    if console.is_terminal and console.width >= PLAIN_WIDTH:
        console.print(report(summaries, confidence, about, stopping))
        return
    text = plain_report(summaries, confidence, about, stopping)
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    console.file.write(text.encode(encoding, "replace").decode(encoding))
    console.file.flush()


def plain_report(
    summaries: Sequence[CellSummary],
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
) -> str:
    """The report as plain text, `PLAIN_WIDTH` characters wide."""
    file = io.StringIO()
    console = Console(file=file, width=PLAIN_WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(report(summaries, confidence, about, stopping))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip() + "\n"


def report(
    summaries: Sequence[CellSummary],
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
) -> RenderableType:
    """Builds the report of a scan's cells; `about` is a line on the scan as a whole."""
    groups = group_cells(summaries)
    markets = sum(cell.markets for cell in summaries)
    families = dict.fromkeys(group.family for group in groups)
    return Stack(
        *(_served(groups, summaries, confidence) if searched(summaries) else ()),
        Text(f"{markets:,} markets in {len(summaries)} cells: {', '.join(map(readable, families))}", "bold"),
        *([Text(printable(about, None))] if about else []),
        Text(),
        *(_stopping(groups, summaries, stopping) if stopping else ()),
        Text(f"How often: percent of markets, with {interval_name(summaries, confidence)}", "bold"),
        Text(
            "Aligned: the condition holds with error 0 for every user. Guaranteed: every equilibrium is proved to give "
            "every user her aligned utility. ≥ marks cells with open markets; their interval holds whatever those are."
        ),
        Text(),
        *_tables(groups, _frequency_columns(confidence)),
        Text("How much every equilibrium is proved to give: silent = 0, aligned = 1, mean ± standard error", "bold"),
        Text(
            "Average over a market's users, floored at silent (a user can ignore what she is told). Difference: "
            "personalized - anonymous, paired by market. a..b: brackets are open, the mean lies between. Violations: "
            "of a theorem. Open: markets with an open bracket. Invalid: rows that held no market."
        ),
        Text(),
        *_tables(groups, _guarantee_columns()),
        *_comparisons(groups, summaries, confidence),
        *(_equilibria(groups, confidence) if any(cell.has_equilibria for cell in summaries) else ()),
        Text("Checks", "bold"),
        *_checks(summaries, confidence),
    )


def _served(groups: Sequence[Group], summaries: Sequence[CellSummary], confidence: float) -> Iterable[RenderableType]:
    """Whom competition serves: the answer in a sentence, and by cell."""
    yield Text(headline(summaries), "bold")
    yield Text(MEANING)
    if rest := known_of_undecided(summaries):
        yield Text(rest)
    yield Text()
    pair = pooled(summaries)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("all cells", justify="right")
    for heading in ("markets", "percent"):
        table.add_column(heading, justify="right")
    for outcome in OUTCOMES:
        shown = show_share(share_of(pair, outcome), confidence, digits=1)
        table.add_row(outcome.label.replace("\n", " "), f"{surely(pair, outcome):,}", shown)
    table.add_row("undecided", f"{undecided(pair):,}", "")
    yield table
    yield Text()
    yield Text(
        f"By cell: percent of the markets that were searched, with {interval_name(summaries, confidence)}", "bold"
    )
    yield Text(
        "Each interval is for its own share, and holds whatever the undecided markets are; ≥ marks shares that they "
        "could add to. Undecided: how many."
    )
    yield Text()
    yield from _tables(groups, [_Column(*entry) for entry in served_columns(confidence)])


def _stopping(
    groups: Sequence[Group], summaries: Sequence[CellSummary], stopping: Stopping
) -> Iterable[RenderableType]:
    yield Text(f"When it stops: {stopping_line(stopping, summaries)}", "bold")
    yield Text(
        "Every interval of a frequency in this report holds whenever a cell stopped, and whatever made it stop. At the "
        "cap: the cell has all markets that it may have, and a wider interval than asked for."
    )
    yield Text()
    yield from _tables(groups, [_Column(*entry) for entry in stopping_columns(stopping)])


def _comparisons(
    groups: Sequence[Group], summaries: Sequence[CellSummary], confidence: float
) -> Iterable[RenderableType]:
    if columns := paired_columns(summaries, confidence):
        yield Text(f"Personalized - anonymous in the same markets: percentage points, {100 * confidence:g} %", "bold")
        yield Text(
            "Difference of the two frequencies, with an interval that rests on the markets in which one holds and the "
            "other does not; only p : only a counts them (+: and perhaps open ones). McNemar: exact, two-sided."
        )
        yield Text()
        yield from _tables(groups, [_Column(*entry) for entry in columns])


def _frequency_columns(confidence: float) -> list[_Column]:
    def column(heading: str, event: str) -> _Column:
        return _Column(heading, lambda cell: show_percent(cell.events[event], confidence))

    return [
        column("weakly aligned", "weakly_aligned"),
        column("strongly aligned", "strongly_aligned"),
        column("guaranteed\npersonalized", "personalized_guaranteed"),
        column("guaranteed\nanonymous", "anonymous_guaranteed"),
    ]


def _guarantee_columns() -> list[_Column]:
    return [
        _Column("markets", lambda cell: f"{cell.markets:,}"),
        _Column("personalized", lambda cell: show_mean(cell.shares["personalized"])),
        _Column("anonymous", lambda cell: show_mean(cell.shares["anonymous"])),
        _Column("difference", lambda cell: show_mean(cell.difference, sign="+")),
        _Column("violations", lambda cell: f"{cell.violations}"),
        _Column("open", lambda cell: f"{cell.open_markets}"),
        _Column("invalid", lambda cell: f"{cell.invalid}"),
    ]


def _equilibria(groups: Sequence[Group], confidence: float) -> Iterable[RenderableType]:
    yield Text("What the worst equilibrium gives: silent = 0, aligned = 1, mean ± standard error", "bold")
    yield Text(
        "Average over a market's users, each in her own worst equilibrium. a..b: it gives at least a (proved) and at "
        "most b (found). Silent: percent of markets in which saying nothing is an equilibrium."
    )
    yield Text()
    yield from _tables(groups, _equilibrium_columns(confidence))
    if any(cell.has_found for group in groups for cell in group.cells):
        yield Text("What play finds: the worst certified equilibrium of each market, on the same scale", "bold")
        yield Text("Found: percent of starts that ended in a certified equilibrium.")
        yield Text()
        yield from _tables(groups, _found_columns())


def _equilibrium_columns(confidence: float) -> list[_Column]:
    return [
        _Column("personalized", lambda cell: show_mean(cell.equilibria["personalized"])),
        _Column("anonymous", lambda cell: show_mean(cell.equilibria["anonymous"])),
        _Column("silent,\npersonalized", lambda cell: show_percent(cell.events["personalized_silence"], confidence)),
        _Column("silent,\nanonymous", lambda cell: show_percent(cell.events["anonymous_silence"], confidence)),
    ]


def _found_columns() -> list[_Column]:
    percent = lambda cell, scheme: f"{100 * cell.values[f'{scheme}_found_share'].mean:.1f}"
    return [
        _Column("personalized", lambda cell: show_mean(cell.found["personalized"])),
        _Column("found,\npersonalized", lambda cell: percent(cell, "personalized")),
        _Column("anonymous", lambda cell: show_mean(cell.found["anonymous"])),
        _Column("found,\nanonymous", lambda cell: percent(cell, "anonymous")),
    ]


def _tables(groups: Sequence[Group], columns: Sequence[_Column]) -> Iterable[RenderableType]:
    """One small table per group, all with the same column widths, the headings above the first one only."""
    first = max([len(readable(g.axis)) for g in groups] + [len(_name(g, cell)) for g in groups for cell in g.cells])
    first = min(first, WIDEST_NAME)
    widths = [
        max(
            max(len(line) for line in column.heading.split("\n")),
            *(len(column.entry(cell)) for group in groups for cell in group.cells),
        )
        for column in columns
    ]
    family = axis = None
    for group in groups:
        if group.family != family:
            yield Text.assemble((readable(group.family), "bold cyan"), (f"  {group.constants}", "dim"))
        if group.label:
            yield Text(group.label, "cyan")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.show_header = group.axis != axis
        table.add_column(Text(readable(group.axis)), width=first, justify="right", vertical="bottom")
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column.heading, width=width, justify="right")
        for cell in group.cells:
            table.add_row(Text(_name(group, cell)), *(_entry(column, cell) for column in columns))
        family, axis = group.family, group.axis
        yield table
        yield Text()


def _entry(column: _Column, cell: CellSummary) -> Text:
    text = column.entry(cell)
    return Text(text, "bold red" if column.heading == "violations" and cell.violations else "")


def _name(group: Group, cell: CellSummary) -> str:
    return show(cell.parameters[group.axis]) if group.axis in cell.parameters else "-"


def _checks(summaries: Sequence[CellSummary], confidence: float) -> Iterable[RenderableType]:
    """Theorems, statuses, open brackets and users without a scale, over the whole scan."""
    markets = sum(cell.markets for cell in summaries)
    asked = any(cell.has_equilibria for cell in summaries)
    played = any(cell.has_found for cell in summaries)
    left_out = (set() if asked else _EQUILIBRIUM_EVENTS) | (set() if played else _FOUND_EVENTS)
    left_out |= set() if searched(summaries) else _SEARCHED_EVENTS
    shares = [cell.events[name] for cell in summaries for name in _ROBUST_EVENTS & cell.events.keys()]
    if not any(share.yes + share.no for share in shares):
        left_out |= _ROBUST_EVENTS
    events = [name for name in summaries[0].events if name not in left_out]
    for name in (name for name in events if name.endswith("_theorem")):
        checked = sum((cell.events[name] for cell in summaries), Proportion())
        if not checked.trials:
            continue
        undecided = f"; undecided in {checked.open:,}" if checked.open else ""
        # For the average of cells that differ, and that only where their numbers of markets were fixed.
        bound = checked.unseen(confidence) if checked.yes and not checked.sequential else None
        rare = f" (at {100 * confidence:g} % confidence in no more than {100 * bound:.2g} %)" if bound else ""
        yield Text(
            f"{name}: violated in {checked.no:,} of {checked.yes + checked.no:,} markets{rare}{undecided}",
            "bold red" if checked.no else "",
        )
    for status in Status:
        if count := sum(cell.statuses.get(status, 0) for cell in summaries):
            style = "" if status in (Status.OK, Status.RESCUED) else "yellow"
            none = "" if status.is_valid else ", whose rows hold no numbers and count in none above"
            yield Text(f"status {status.name}: {count:,} of {markets:,} markets{none}. {status.sentence}", style)
    for name in summaries[0].open_brackets:
        yield from _where(f"bracket {name}: open", summaries, [cell.open_brackets[name] for cell in summaries])
    for name in (name for name in events if not name.endswith("_theorem")):
        yield from _where(f"event {name}: undecided", summaries, [cell.events[name].open for cell in summaries])
    if undefined := sum(cell.undefined_users for cell in summaries):
        yield Text(f"left off the scale from silent to aligned, because the two coincide: {undefined:,} users")


def _where(what: str, summaries: Sequence[CellSummary], counts: Sequence[int]) -> Iterable[Text]:
    """Says in how many markets something happened, and in which cells; nothing if it did not."""
    if not sum(counts):
        return
    cells = [str(cell.cell) for cell, count in zip(summaries, counts, strict=True) if count]
    named = ", ".join(cells[:MOST_CELLS]) + (f" and {len(cells) - MOST_CELLS} more" if len(cells) > MOST_CELLS else "")
    yield Text(f"{what} in {sum(counts):,} markets, see cell {named} of summary.csv", "yellow")


def show_percent(share: Proportion, confidence: float) -> str:
    """A proportion in percent with its interval, such as ` 31.2 [ 29.8,  32.7]`; `≥` where markets are open."""
    if not share.trials:
        return "-"
    low, high = share.interval(confidence)
    mark = "≥" if share.open else ""
    return f"{mark}{100 * share.estimate[0]:.1f} [{100 * low:5.1f},{100 * high:5.1f}]"


def show_mean(bracket: BracketMoments, sign: str = "") -> str:
    """A mean with its standard error; where open brackets matter, the means of both ends, `low..high`."""
    if not bracket.lower.count:
        return "-"
    low, high = bracket.lower, bracket.upper
    if high.mean - low.mean > SAME_MEAN:
        return f"{low.mean:{sign}.3f}..{high.mean:{sign}.3f}"
    error = "" if math.isnan(low.standard_error) else f" ± {low.standard_error:.4f}"
    return f"{low.mean:{sign}.4f}{error}"


def table_sections(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> list[tuple[str, list[_Column]]]:
    """The columns of every table of the report, under a heading each, for whoever sets them in another form."""
    sections = []
    if searched(summaries):
        sections.append(("served, percent", [_Column(*entry) for entry in served_columns(confidence)]))
    sections += [("how often, percent", _frequency_columns(confidence)), ("guaranteed", _guarantee_columns())]
    if paired := paired_columns(summaries, confidence):
        sections.append(("personalized - anonymous", [_Column(*entry) for entry in paired]))
    if any(cell.has_equilibria for cell in summaries):
        sections.append(("worst equilibrium", _equilibrium_columns(confidence)))
    if any(cell.has_found for cell in summaries):
        sections.append(("found by play", _found_columns()))
    return sections


def check_lines(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> list[str]:
    """The lines under *Checks*, without style."""
    return [line.plain for line in _checks(summaries, confidence) if isinstance(line, Text)]
