"""The summary of every cell as one row of a CSV file, for other programs."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from .._printable import for_spreadsheets
from .._scan.config._stopping import Stopping
from .._status import Status
from ._served import OUTCOMES, searched, share_of, surely, undecided
from ._summary import CONFIDENCE, PAIRS, SCHEMES, CellSummary, Moments, PairedProportions, Proportion

# Quantiles over markets of what is guaranteed, on the scale from silent to aligned.
SPREAD = (0.05, 0.5, 0.95)

# Pairs of this package ask the same of both schemes.
_SIDES, _BY_SCHEME = SCHEMES, {pair.name for pair in PAIRS}


def summary_csv(
    summaries: Sequence[CellSummary], confidence: float = CONFIDENCE, stopping: Stopping | None = None
) -> str:
    """Returns the summaries as CSV: counts, intervals at `confidence`, means and standard errors in full precision."""
    parameters = list(dict.fromkeys(name for cell in summaries for name in cell.parameters))
    rows = [_record(cell, parameters, confidence) | _stopped(cell, stopping) for cell in summaries]
    if searched(summaries):
        rows = [row | _served(cell, confidence) for row, cell in zip(rows, summaries, strict=True)]
    rows = [{for_spreadsheets(name): for_spreadsheets(value) for name, value in row.items()} for row in rows]
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["cell"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _record(cell: CellSummary, parameters: Sequence[str], confidence: float) -> dict[str, Any]:
    record: dict[str, Any] = {"cell": cell.cell, "family": cell.family}
    record |= {name: cell.parameters.get(name, "") for name in parameters}
    record |= {"markets": cell.markets, "invalid": cell.invalid, "confidence": confidence}
    for name, share in cell.events.items():
        record |= _proportion(name, share, confidence)
    record |= _proportion("personalization_gains", cell.gains, confidence)
    for name, pair in cell.paired.items():
        record |= _paired(f"paired_{name}", pair, confidence, _SIDES if name in _BY_SCHEME else ("first", "second"))
    for name, moments in cell.values.items():
        record |= _moments(name, moments)
    brackets = {f"{scheme}_share": bracket for scheme, bracket in cell.shares.items()}
    brackets |= {f"{scheme}_worst_share": bracket for scheme, bracket in cell.worst_shares.items()}
    brackets |= {f"{scheme}_equilibrium_share": bracket for scheme, bracket in cell.equilibria.items()}
    brackets |= {f"{scheme}_found_on_scale": bracket for scheme, bracket in cell.found.items()}
    brackets["difference_share"] = cell.difference
    for name, bracket in brackets.items():
        record |= _moments(f"{name}_lower", bracket.lower) | _moments(f"{name}_upper", bracket.upper)
    for name, quantiles in cell.quantiles.items():
        for share in SPREAD:
            low, high = quantiles.quantile(share)
            record |= {f"{name}_q{100 * share:02.0f}_low": low, f"{name}_q{100 * share:02.0f}_high": high}
    record |= {f"open_{name}": count for name, count in cell.open_brackets.items()}
    record |= {"open_markets": cell.open_markets, "undefined_users": cell.undefined_users}
    record |= {f"status_{status.name.lower()}": cell.statuses.get(status, 0) for status in Status}
    return record


def _proportion(name: str, share: Proportion, confidence: float) -> dict[str, Any]:
    low, high = share.interval(confidence)
    return {
        f"{name}_yes": share.yes,
        f"{name}_no": share.no,
        f"{name}_open": share.open,
        f"{name}_interval_low": low,
        f"{name}_interval_high": high,
        **_wilson(name, share, confidence),
    }


def _wilson(name: str, share: Proportion, confidence: float) -> dict[str, Any]:
    """The approximate interval for comparison; none where it would not hold because markets were looked at."""
    low, high = ("", "") if share.sequential else share.wilson(confidence)
    return {f"{name}_wilson_low": low, f"{name}_wilson_high": high}


def _paired(name: str, pair: PairedProportions, confidence: float, sides: Sequence[str]) -> dict[str, Any]:
    (first, first_most), (second, second_most) = pair.only_first, pair.only_second
    (least, most), (low, high), (against, towards) = pair.estimate, pair.interval(confidence), pair.leaning(confidence)
    return {
        f"{name}_only_{sides[0]}": first,
        f"{name}_only_{sides[0]}_at_most": first_most,
        f"{name}_only_{sides[1]}": second,
        f"{name}_only_{sides[1]}_at_most": second_most,
        f"{name}_difference_low": least,
        f"{name}_difference_high": most,
        f"{name}_difference_interval_low": low,
        f"{name}_difference_interval_high": high,
        f"{name}_leaning_interval_low": against,
        f"{name}_leaning_interval_high": towards,
        f"{name}_mcnemar_p": pair.mcnemar(),
    }


def _served(cell: CellSummary, confidence: float) -> dict[str, Any]:
    """Whom competition serves, in the markets that were searched; intervals hold whatever undecided ones are."""
    pair = cell.paired["served"]
    record: dict[str, Any] = {"served_searched": pair.trials}
    for outcome in OUTCOMES:
        low, high = share_of(pair, outcome).interval(confidence)
        record |= {
            f"served_{outcome.name}": surely(pair, outcome),
            f"served_{outcome.name}_interval_low": low,
            f"served_{outcome.name}_interval_high": high,
        }
    return record | {"served_undecided": undecided(pair)}


def _stopped(cell: CellSummary, stopping: Stopping | None) -> dict[str, Any]:
    """Where a cell of a scan that stops by itself stands, with the interval that it was stopped by."""
    if stopping is None:
        return {}
    share = cell.events[stopping.until.event]
    low, high = share.interval(stopping.until.confidence)
    return {
        "until_event": stopping.until.event,
        "until_confidence": stopping.until.confidence,
        "until_interval_low": low,
        "until_interval_high": high,
        "until_most": stopping.most[cell.cell],
        "until_state": stopping.state(cell.cell, share).value,
    }


def _moments(name: str, moments: Moments) -> dict[str, Any]:
    return {
        f"{name}_mean": moments.mean,
        f"{name}_standard_error": moments.standard_error,
        f"{name}_count": moments.count,
        f"{name}_missing": moments.missing,
    }
