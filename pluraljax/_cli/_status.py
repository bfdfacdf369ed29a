"""`pluraljax status DIR`: how far a scan has come, how fast it goes, and which cells to look at."""

import argparse
from typing import TYPE_CHECKING, Any

from .._printable import printable
from ._words import fail, say, warn

if TYPE_CHECKING:
    from .._scan.store._survey import CellSurvey, Survey

_MOST_CELLS, _MOST_FILES = 5, 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "status",
        help="say how far a scan has come",
        description="Says how much of a scan is stored, how fast it goes, how long it still takes, and which cells "
        "have the most open or invalid markets or take longest. Reads only; the scan may be running.",
        epilog="exit codes: 0 the scan is done; 1 markets are missing, or files among the chunks are damaged, foreign "
        "or there twice; 2 there is no scan, or its manifest or journal is damaged",
    )
    parser.add_argument("directory", metavar="DIR", help="directory of the scan")
    parser.add_argument("--json", action="store_true", help="print everything, cell by cell, as JSON")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="go by each chunk's metadata; otherwise all rows are read, and held against their digests",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the status; returns the exit code."""
    from .._scan.store._survey import survey

    try:
        found = survey(args.directory, verify=not args.quick)
    except (ValueError, OSError) as error:
        return fail(args, error)
    if args.json:
        import json

        print(json.dumps(found.as_data(), indent=1))
    else:
        say("\n".join(_lines(found)))
    for line in _faults(found):
        warn(args, line)
    return 0 if found.is_done and not found.faulty else 1


def _lines(found: "Survey") -> list[str]:
    from .._progress import duration
    from .._scan.store._versions import spelled

    share = 100 * found.stored / max(found.wanted, 1)
    wanted = f"at most {found.wanted:,}" if found.until else f"{found.wanted:,}"
    lines = [f"{found.path}: {found.stored:,} of {wanted} markets stored ({share:.0f} %)"]
    if found.writer is not None:
        lines.append(f"being written to by process {found.writer or '(unknown)'}")
    elif not found.is_done:
        lines.append(f"nobody is writing to it; `pluraljax resume {found.path}` continues")
    if found.rate:
        left = f", about {duration(found.seconds_left or 0)} left" if not found.is_done and not found.until else ""
        lines.append(f"{found.rate:,.0f} markets a second in the last run{left}; last chunk stored {found.last_stored}")
    if len(found.versions) > 1:
        lines.append(f"measured by several versions: {spelled(found.versions)}")
    lines += _worst("most markets open", found, lambda cell: cell.open)
    lines += _worst("most markets invalid", found, lambda cell: cell.invalid)
    if found.until:
        states = [cell.state for cell in found.cells]
        lines.append("cells: " + ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)))
    elif not found.is_done:
        lines += _worst("most markets missing", found, lambda cell: cell.wanted - cell.stored)
    lines += _worst("slowest, milliseconds a market", found, lambda cell: 1000 * (cell.seconds_per_market or 0))
    return lines


def _faults(found: "Survey") -> list[str]:
    """What is wrong with files among the chunks, and what to do about it."""
    if not found.faulty:
        return []
    lines = [str(fault) for fault in found.faulty[:_MOST_FILES]]
    more = len(found.faulty) - len(lines)
    lines += [f"and {more:,} more; --json lists all"] if more else []
    advice = f"`pluraljax resume {found.path}` moves them to set-aside, and measures what is missing then"
    return [*lines, f"{len(found.faulty):,} files among the chunks are no part of the scan: {advice}"]


def _worst(title: str, found: "Survey", size: Any) -> list[str]:
    """The cells in which something is largest, with their parameters; nothing where it is zero everywhere."""
    ranked = sorted((cell for cell in found.cells if size(cell) > 0), key=size, reverse=True)[:_MOST_CELLS]
    return [f"{title}:", *(f"  {_amount(size(cell)):>10}  {_name(cell)}" for cell in ranked)] if ranked else []


def _amount(value: int | float) -> str:
    """A count in full, a measured number to four digits or to the last whole one."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"


def _name(cell: "CellSurvey") -> str:
    parameters = " ".join(f"{printable(key)}={printable(value)}" for key, value in cell.parameters.items())
    return f"cell {cell.cell}: {printable(cell.family)} {parameters}"
