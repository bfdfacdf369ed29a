"""The report as text: how often alignment holds, how much is guaranteed, and everything that went wrong."""

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.console import Console, RenderableType
from rich.console import Group as Stack
from rich.table import Table
from rich.text import Text

from .._printable import printable
from .._scan.config._stopping import Stopping
from .._scan.measure._columns import BUILT_IN
from .._scan.measure._measurement import Table as Declared
from .._status import Status
from ._comparisons import interval_name, paired_columns, stopping_columns, stopping_line
from ._entries import Shown, declared, differences, tables_of
from ._layout import Group, group_cells, readable
from ._own import Own
from ._served import (
    OUTCOMES,
    answer,
    pooled,
    searched,
    served_columns,
    share_of,
    show_share,
    surely,
    undecided,
)
from ._summary import CONFIDENCE, OPEN_BY_NATURE, CellSummary, Proportion, open_anywhere

PLAIN_WIDTH = 80
_GAP = 2
WIDEST_NAME = 16
# Cells named in a message; summary.csv has them all.
MOST_CELLS = 8


def print_report(
    summaries: Sequence[CellSummary],
    console: Console,
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
    own: Sequence[Own] = (),
) -> None:
    """Prints the report: styled on a terminal wide enough for it, as plain aligned text anywhere else."""
    if console.is_terminal and console.width >= PLAIN_WIDTH:
        console.print(report(summaries, confidence, about, stopping, own))
        return
    text = plain_report(summaries, confidence, about, stopping, own)
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    console.file.write(text.encode(encoding, "replace").decode(encoding))
    console.file.flush()


def plain_report(
    summaries: Sequence[CellSummary],
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
    own: Sequence[Own] = (),
) -> str:
    """The report as plain text, `PLAIN_WIDTH` characters wide."""
    file = io.StringIO()
    console = Console(file=file, width=PLAIN_WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(report(summaries, confidence, about, stopping, own))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip() + "\n"


def report(
    summaries: Sequence[CellSummary],
    confidence: float = CONFIDENCE,
    about: str = "",
    stopping: Stopping | None = None,
    own: Sequence[Own] = (),
) -> RenderableType:
    """Builds the report of a scan's cells; `about` is a line on the scan as a whole, `own` what it measured besides."""
    first, others = tables_of(summaries, own)
    groups = group_cells(summaries)
    families = dict.fromkeys(group.family for group in groups)
    return Stack(
        *_answer(summaries),
        *(_served(groups, summaries, confidence) if searched(summaries) else ()),
        Text(f"{counted(summaries)}: {', '.join(map(readable, families))}", "bold"),
        *([Text(printable(about, None))] if about else []),
        Text(),
        *(_stopping(groups, summaries, stopping) if stopping else ()),
        *_declared(groups, summaries, first, confidence),
        *_comparisons(groups, summaries, confidence),
        *_declared(groups, summaries, others, confidence),
        *_own_comparisons(groups, own, confidence),
        Text("Checks", "bold"),
        *_checks(summaries, confidence, own),
    )


def counted(summaries: Sequence[CellSummary]) -> str:
    """How many markets there are, in how many cells."""
    markets, cells = sum(cell.markets for cell in summaries), len(summaries)
    return f"{markets:,} market{'' if markets == 1 else 's'} in {cells:,} cell{'' if cells == 1 else 's'}"


def _served(groups: Sequence[Group], summaries: Sequence[CellSummary], confidence: float) -> Iterable[RenderableType]:
    """Whom competition serves, over all cells and by cell."""
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
        "could add to. Pers., anon.: only if policies are personalized, or only if anonymous. Of: so many markets; "
        "open: so many of them are undecided."
    )
    yield Text()
    yield from _tables(groups, [Shown(*entry) for entry in served_columns(confidence, is_narrow=True)])


def _answer(summaries: Sequence[CellSummary]) -> Iterable[RenderableType]:
    """The answer in a sentence, and what it means."""
    first, *others = answer(summaries)
    yield Text(first, "bold")
    yield from map(Text, others)
    yield Text()


def _stopping(
    groups: Sequence[Group], summaries: Sequence[CellSummary], stopping: Stopping
) -> Iterable[RenderableType]:
    yield Text(f"When it stops: {stopping_line(stopping, summaries)}", "bold")
    yield Text(
        "Every interval of a frequency in this report holds whenever a cell stopped, and whatever made it stop. At the "
        "cap: the cell has all markets that it may have, and a wider interval than asked for."
    )
    yield Text()
    yield from _tables(groups, [Shown(*entry) for entry in stopping_columns(stopping)])


def _comparisons(
    groups: Sequence[Group], summaries: Sequence[CellSummary], confidence: float
) -> Iterable[RenderableType]:
    if columns := paired_columns(summaries, confidence):
        yield Text(f"Personalized - anonymous in the same markets: percentage points, {100 * confidence:g} %", "bold")
        yield Text(
            "Difference of the two frequencies, with an interval that rests on the markets in which one holds and the "
            "other does not; only p : only a counts them (+: and perhaps open ones). a..b: markets are open, the "
            "difference lies between. McNemar: exact, two-sided."
        )
        yield Text()
        yield from _tables(groups, [Shown(*entry) for entry in columns])


def _declared(
    groups: Sequence[Group], summaries: Sequence[CellSummary], tables: Sequence[Declared], confidence: float
) -> Iterable[RenderableType]:
    """Tables as measurements declare them, each with its heading and what it says below."""
    for each in tables:
        yield Text(printable(each.heading.replace("{interval}", interval_name(summaries, confidence)), None), "bold")
        if each.about:
            yield Text(printable(each.about, None))
        yield Text()
        yield from _tables(groups, declared(each.entries, confidence))


def _own_comparisons(groups: Sequence[Group], own: Sequence[Own], confidence: float) -> Iterable[RenderableType]:
    for each in own:
        if each.pairs:
            yield Text(f"{each.label}: differences, percentage points, {100 * confidence:g} %", "bold")
            listed = "; ".join(f"{readable(pair.first)} - {readable(pair.second)}" for pair in each.pairs)
            yield Text(f"In the same markets: {listed}.")
            yield Text()
            yield from _tables(groups, differences(each.pairs, confidence))


def _tables(groups: Sequence[Group], columns: Sequence[Shown]) -> Iterable[RenderableType]:
    """One small table per group; columns that do not fit beside each other come in further tables below."""
    first = max([len(readable(g.axis)) for g in groups] + [len(g.place(cell)) for g in groups for cell in g.cells])
    first = min(first, WIDEST_NAME)
    widths = [
        max(
            max(len(line) for line in column.heading.split("\n")),
            *(len(column.entry(cell)) for group in groups for cell in group.cells),
        )
        for column in columns
    ]
    for start, stop in _side_by_side(widths, PLAIN_WIDTH - first):
        yield from _part(groups, columns[start:stop], first, widths[start:stop])


def _side_by_side(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Cuts columns into runs that fit beside each other: as few as possible, and of about as many columns each."""
    fits = lambda run: sum(width + _GAP for width in widths[slice(*run)]) <= room or run[1] - run[0] == 1
    for number in range(1, len(widths) + 1):
        ends = [len(widths) * part // number for part in range(number + 1)]
        runs = list(pairwise(ends))
        if all(map(fits, runs)):
            return runs
    return []


def _part(
    groups: Sequence[Group], columns: Sequence[Shown], first: int, widths: Sequence[int]
) -> Iterable[RenderableType]:
    """Tables with the same column widths, the headings above the first one only."""
    family = axis = None
    for group in groups:
        if group.family != family:
            yield Text.assemble((readable(group.family), "bold cyan"), (f"  {group.constants}", "dim"))
        if group.label:
            yield Text(group.label, "cyan")
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        table.show_header = group.axis != axis
        table.add_column(Text(readable(group.axis)), width=first, justify="right", vertical="bottom")
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column.heading, width=width, justify="right")
        for cell in group.cells:
            table.add_row(Text(group.place(cell)), *(_entry(column, cell) for column in columns))
        family, axis = group.family, group.axis
        yield table
        yield Text()


def _entry(column: Shown, cell: CellSummary) -> Text:
    text = column.entry(cell)
    return Text(text, "bold red" if column.heading == "violations" and cell.violations else "")


def _checks(summaries: Sequence[CellSummary], confidence: float, own: Sequence[Own] = ()) -> Iterable[RenderableType]:
    """Theorems, statuses, open brackets and users without a scale, over the whole scan."""
    markets = sum(cell.markets for cell in summaries)
    unasked = [kind for kind in BUILT_IN[1:] if not any(cell.has_measured(kind.columns) for cell in summaries)]
    left_out = {column.name for kind in unasked for column in kind.columns}
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
    if anywhere := open_anywhere(summaries):
        failed = sum(cell.open_markets for cell in summaries)
        yield Text(
            f"a bracket is open in {anywhere:,} of {markets:,} markets; in {failed:,} it is one that should close "
            f"(all but {' and '.join(OPEN_BY_NATURE)})",
            "yellow",
        )
    for name in summaries[0].open_brackets:
        yield from _where(f"bracket {name}: open", summaries, [cell.open_brackets[name] for cell in summaries])
    for name in (name for name in events if not name.endswith("_theorem")):
        yield from _where(f"event {name}: undecided", summaries, [cell.events[name].open for cell in summaries])
    if undefined := sum(cell.undefined_users for cell in summaries):
        users = sum(cell.users for cell in summaries)
        yield Text(
            f"{undefined:,} of {users:,} users have nothing to gain by any conversation: silent and aligned coincide. "
            "They are left off the scale between the two, and count as served"
        )


def _where(what: str, summaries: Sequence[CellSummary], counts: Sequence[int]) -> Iterable[Text]:
    """Says in how many markets something happened, and in which cells; nothing if it did not."""
    if not sum(counts):
        return
    cells = [str(cell.cell) for cell, count in zip(summaries, counts, strict=True) if count]
    if len(cells) == len(summaries) > 1:
        yield Text(f"{what} in {sum(counts):,} markets, in all cells (summary.csv)", "yellow")
        return
    named = ", ".join(cells[:MOST_CELLS]) + (f" and {len(cells) - MOST_CELLS} more" if len(cells) > MOST_CELLS else "")
    yield Text(f"{what} in {sum(counts):,} markets, see cell {named} of summary.csv", "yellow")


def table_sections(
    summaries: Sequence[CellSummary], confidence: float = CONFIDENCE, own: Sequence[Own] = ()
) -> list[tuple[str, list[Shown]]]:
    """The columns of every table of the report, under a heading each, for whoever sets them in another form."""
    sections = []
    if searched(summaries):
        sections.append(("served, percent", [Shown(*entry) for entry in served_columns(confidence)]))
    first, others = tables_of(summaries, own)
    sections += [(table.label, declared(table.entries, confidence)) for table in first]
    if paired := paired_columns(summaries, confidence):
        sections.append(("personalized - anonymous", [Shown(*entry) for entry in paired]))
    sections += [(table.label, declared(table.entries, confidence)) for table in others]
    return sections + [
        (f"{each.label}, differences", differences(each.pairs, confidence)) for each in own if each.pairs
    ]


def check_lines(summaries: Sequence[CellSummary], confidence: float = CONFIDENCE) -> list[str]:
    """The lines under *Checks*, without style."""
    return [line.plain for line in _checks(summaries, confidence) if isinstance(line, Text)]
