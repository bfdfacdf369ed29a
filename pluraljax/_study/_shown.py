"""A `Study` as text of at most 80 columns, and as HTML. Names come from files that anybody may have written."""

import html
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from .._arguments import PARTS
from .._printable import printable, printable_lines
from .._served import MEANING
from ._parts import UserAnswer
from ._sentences import percent_above, percent_below

_WIDTH = 80
# Characters of a name, and digits of a number: the first with which a table fits.
_LAYOUTS = ((16, 4), (12, 4), (12, 3), (8, 3), (8, 2))
_SHARES = ("user", "served", "at least", "worst", "served", "at least", "worst")
_PAYOFFS = ("user", "silent", "aligned", "weak error", "worst personalized", "worst anonymous")
_COLUMNS = (
    "At least: a bound that needs no search. Worst: what the worst equilibrium gives, from a search; who is served "
    "goes by both, and both are proved."
)
_TRUTH = {True: "yes", False: "no", None: "?"}
_NO_WAY = "-"
# What stands in the table of shares, and what it means.
_SIGNS = {
    _TRUTH[None]: "not known; both ends of her worst equilibrium are proved all the same",
    _NO_WAY: "nothing that she could be told is worth anything to her",
}
_PAYMENTS = (
    "Cost: half the sum of the squared payments, each user's times her mass. Beta: how much her payoffs count in what "
    "providers then want together."
)


def as_text(study: Any) -> str:
    """Writes the answer, the two tables, and the reasons."""
    names = study.names
    sizes = ((len(names.users), "user"), (len(names.providers), "provider"), (len(names.actions), "action"))
    counted = [f"{count} {what}{'' if count == 1 else 's'}" for count, what in (*sizes, (len(names.states), "state"))]
    slack = f", delta {study.delta:g}" if study.delta else ""
    parts = [
        f"A market of {', '.join(counted)}{_even(study)}{slack}",
        _wrapped(study.sentence),
        *map(_wrapped, study.reasons),
        "",
        "Shares of the way from silent (0 %) to aligned (100 %):",
        _table(_SHARES, lambda width, _: [_shares(user, width) for user in study.users], grouped=True),
        _wrapped(_COLUMNS),
        *map(_wrapped, _legend(study)),
        "",
        "Expected payoffs:",
        _table(_PAYOFFS, lambda width, digits: [_payoffs(user, width, digits) for user in study.users]),
        "",
    ]
    for user in study.users:
        parts += [_wrapped(user.sentence), *(_wrapped(reason, "  ") for reason in user.reasons)]
    if study.outlooks:
        parts += ["", *(line for said, ask in _outlooks(study) for line in (_wrapped(said), *[f"  {ask}"] * bool(ask)))]
    if study.changes:
        parts += ["", "What would change it:", *(_wrapped(change, "  ") for change in study.changes)]
        parts += map(_wrapped, _payments(study))
    parts += ["", *_silence(study), _wrapped(MEANING), *_again(study)]
    return printable_lines("\n".join(parts))


def as_html(study: Any) -> str:
    """Writes the same for a notebook."""
    cell = lambda text, tag="td": f"<{tag}>{html.escape(text)}</{tag}>"
    row = lambda entries, tag="td": f"<tr>{''.join(cell(entry, tag) for entry in entries)}</tr>"
    listed = lambda lines: f"<ul>{''.join(f'<li>{html.escape(printable(line, None))}</li>' for line in lines)}</ul>"
    shares = "".join(row(_shares(user, 24)) for user in study.users)
    payoffs = "".join(row(_payoffs(user, 24, 4)) for user in study.users)
    spans = '<tr><th></th><th colspan="3">personalized</th><th colspan="3">anonymous</th></tr>'
    sentences = [" ".join((user.sentence, *user.reasons)) for user in study.users]
    code = lambda line: f"<code>{html.escape(printable(line, None))}</code>" if line else ""
    outlooks = "".join(f"<p>{html.escape(said)} {code(ask)}</p>" for said, ask in _outlooks(study))
    proved, ask = _again(study)
    again = f"{html.escape(proved)} {code(ask.strip())}"
    changes = f"<p>What would change it:</p>{listed(study.changes)}" if study.changes else ""
    changes += "".join(f"<p>{html.escape(line)}</p>" for line in _payments(study))
    columns = "".join(f"<p>{html.escape(line)}</p>" for line in (_COLUMNS, *_legend(study)))
    return (
        f"<div><p><b>{html.escape(printable(study.sentence, None))}</b></p>{listed(study.reasons)}"
        f"{'<p>All states are equally likely.</p>' * bool(_even(study))}"
        f"<table><caption>Shares of the way from silent to aligned</caption>{spans}{row(_SHARES, 'th')}{shares}</table>"
        f"{columns}"
        f"<table><caption>Expected payoffs</caption>{row(_PAYOFFS, 'th')}{payoffs}</table>"
        f"{listed(sentences)}{outlooks}{changes}<p>{html.escape(MEANING)}</p><p>{again}</p></div>"
    )


def _even(study: Any) -> str:
    """Says of states that nobody gave a prior for, or the same one, what they then are."""
    return " (equally likely)" if study.equally_likely and len(study.names.states) > 1 else ""


def _legend(study: Any) -> list[str]:
    """What the signs in the table of shares mean, of those that are in it."""
    there = {entry for user in study.users for entry in _shares(user, 1)[1:]}
    said = [f"{sign} {meaning}" for sign, meaning in _SIGNS.items() if sign in there]
    return [f"Signs: {'; '.join(said)}."] if said else []


def _payments(study: Any) -> list[str]:
    """What is said of payments, in other words, where there are any."""
    return [_PAYMENTS] if any(each["solved"] for each in study.interventions["payments"].values()) else []


def _silence(study: Any) -> list[str]:
    said = {True: "an equilibrium", False: "no equilibrium", None: "undecided"}
    apart, together = said[study.personalized.silence], said[study.anonymous.silence]
    return [_wrapped(f"Silence of all providers is {apart} if personalized, and {together} if anonymous.")]


def _again(study: Any) -> list[str]:
    """How to have all of it proved again: with the parts that the search looked at."""
    budget = study.parts if study.parts not in (0, PARTS) else None
    return ["To prove it again in exact arithmetic:", f"  {study.again('certify', budget)}"]


def _outlooks(study: Any) -> list[tuple[str, str]]:
    """What is said of what is open, and how to search longer; nothing in place of what does not help."""
    return [(sentence, "" if budget is None else study.again("study", budget)) for sentence, budget in study.outlooks]


def _shares(user: UserAnswer, width: int) -> list[str]:
    def scheme(served: bool | None, guarantee: float, worst: tuple[float, float]) -> list[str]:
        low, high = worst
        sure = (guarantee - user.silent) / (user.aligned - user.silent) if not math.isnan(low) else math.nan
        ends = percent_below(max(low, 0.0)), percent_above(min(high, 1.0))
        if math.isnan(low):
            return [_TRUTH[served], _NO_WAY, _NO_WAY]
        return [_TRUTH[served], percent_below(min(max(sure, 0.0), 1.0)), _bracket(*ends)]

    apart = scheme(user.personalized_served, user.personalized_guarantee, user.personalized_share)
    together = scheme(user.anonymous_served, user.anonymous_guarantee, user.anonymous_share)
    return [printable(user.name, width), *apart, *together]


def _payoffs(user: UserAnswer, width: int, digits: int) -> list[str]:
    number = lambda value: f"{value:.{digits}g}" if abs(value) >= 1e-9 or not math.isfinite(value) else "0"
    bracket = lambda ends: _bracket(number(ends[0]), number(ends[1]))
    return [
        printable(user.name, width),
        number(user.silent),
        number(user.aligned),
        number(user.weak_error[1]),
        bracket(user.personalized_worst),
        bracket(user.anonymous_worst),
    ]


def _bracket(low: str, high: str) -> str:
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _table(header: Sequence[str], rows_at: Callable[[int, int], list[list[str]]], grouped: bool = False) -> str:
    """Lays a table out, in the first layout that is narrow enough."""
    widths: list[int] = []
    lines: list[str] = []
    for width, digits in _LAYOUTS:
        rows = [list(header), *rows_at(width, digits)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = [_line(row, widths) for row in rows]
        if max(map(len, lines)) <= _WIDTH:
            break
    if grouped:
        start = widths[0] + 2
        middle = start + sum(widths[1:4]) + 6
        lines.insert(0, " " * start + "personalized".ljust(middle - start) + "anonymous")
    return "\n".join(line.rstrip() for line in lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (entry.ljust(width) for entry, width in zip(row, widths, strict=True))
    return "  ".join([first, *others])


def _wrapped(text: str, indent: str = "") -> str:
    """Breaks a sentence into lines; names in it are made harmless first, because they may hold breaks themselves."""
    return textwrap.fill(
        printable(text, None), _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )
