"""The headline: in how many markets competition serves every user, and whether that needs personalized policies."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .._served import MEANING as MEANING
from .._status import Status
from ._comparisons import Entry
from ._summary import SCHEMES, CellSummary, PairedProportions, Proportion

_YES, _NO, _OPEN = 0, 1, 2
PROVED_MEANING = (
    "Where that is not proved users may be served all the same; a search would tell more (search = {markets = 64} in "
    "the config: so many markets of each cell)."
)


@dataclass(frozen=True)
class Outcome:
    """One answer: its name in a table, a narrow one too, and in a file, and what `PairedProportions` counts it at."""

    label: str
    short: str
    name: str
    personalized: int
    anonymous: int


OUTCOMES = (
    Outcome("either way", "either\nway", "either_way", _YES, _YES),
    Outcome("only if\npersonalized", "only if\npers.", "only_personalized", _YES, _NO),
    Outcome("only if\nanonymous", "only if\nanon.", "only_anonymous", _NO, _YES),
    Outcome("neither way", "neither\nway", "neither_way", _NO, _NO),
)


def searched(summaries: Sequence[CellSummary]) -> bool:
    """Whether a scan has a headline at all."""
    return any(cell.has_searched for cell in summaries)


def pooled(cells: Sequence[CellSummary]) -> PairedProportions:
    """The counts of several cells together."""
    return sum((cell.paired["served"] for cell in cells), PairedProportions())


def surely(pair: PairedProportions, outcome: Outcome) -> int:
    """In how many markets this is the answer."""
    return pair.counts[outcome.personalized][outcome.anonymous]


def undecided(pair: PairedProportions) -> int:
    """In how many markets one of the two events, or both, is open."""
    return pair.trials - sum(surely(pair, outcome) for outcome in OUTCOMES)


def share_of(pair: PairedProportions, outcome: Outcome) -> Proportion:
    """How often this is the answer; markets that are undecided, and could have it, are open."""
    counts, own, other = pair.counts, outcome.personalized, outcome.anonymous
    yes = counts[own][other]
    may = counts[own][_OPEN] + counts[_OPEN][other] + counts[_OPEN][_OPEN]
    return Proportion(yes, pair.trials - yes - may, may, sequential=pair.sequential)


def served_columns(confidence: float, is_narrow: bool = False) -> list[Entry]:
    """The columns of a table of cells; the narrow ones fit beside each other on a page of 80 characters."""

    def column(outcome: Outcome) -> Entry:
        heading = outcome.short if is_narrow else outcome.label
        return heading, lambda cell: show_share(share_of(cell.paired["served"], outcome), confidence)

    return [
        ("of" if is_narrow else "searched", lambda cell: f"{cell.paired['served'].trials:,}"),
        *map(column, OUTCOMES),
        ("open" if is_narrow else "undecided", lambda cell: f"{undecided(cell.paired['served']):,}"),
    ]


def show_share(share: Proportion, confidence: float, digits: int = 0) -> str:
    """A share in percent with its interval, such as `31 [20, 44]`; `≥` where undecided markets could add to it."""
    if not share.trials:
        return "-"
    low, high = share.interval(confidence)
    width = 3 + digits + 1 if digits else 0
    mark = "≥" if share.open else ""
    return f"{mark}{100 * share.estimate[0]:.{digits}f} [{100 * low:{width}.{digits}f},{100 * high:{width}.{digits}f}]"


def answer(summaries: Sequence[CellSummary]) -> list[str]:
    """What the scan says, as a report begins: a sentence, what it means, and what is known besides."""
    if searched(summaries):
        return [headline(summaries), MEANING, *filter(None, [known_of_undecided(summaries)])]
    if failing := said_of_none_valid(summaries):
        return [failing]
    return [proved_headline(summaries), PROVED_MEANING]


def said_of_none_valid(summaries: Sequence[CellSummary]) -> str:
    """That not one market is valid, and why most are not; empty where one is."""
    if not all(cell.invalid == cell.markets for cell in summaries):
        return ""
    statuses = sum((Counter(cell.statuses) for cell in summaries), Counter())
    [(code, _)] = statuses.most_common(1)
    reason = f"{Status(code).name}: {Status(code).sentence}"
    return f"None of {statuses.total():,} rows holds a valid market, mostly because of {reason}"


def headline(summaries: Sequence[CellSummary]) -> str:
    """The answer in one sentence, all cells together; each share with what undecided markets could add to it."""
    pair = pooled(summaries)
    percent = lambda count: _percent(count, pair.trials)
    either, personalized, anonymous, neither = (_percent_range(share_of(pair, outcome)) for outcome in OUTCOMES)
    left = undecided(pair)
    rest = f"; {percent(left)} {'is' if left == 1 else 'are'} undecided" if left else ""
    return (
        f"Of {pair.trials:,} markets, competition serves every user either way in {either}, only if policies are "
        f"personalized in {personalized}, only if they are anonymous in {anonymous}, and neither way in "
        f"{neither}{rest}."
    )


def proved_headline(summaries: Sequence[CellSummary]) -> str:
    """The answer in one sentence where nobody searched for worst equilibria: what is proved of every equilibrium."""
    shares = [sum((cell.events[f"{scheme}_guaranteed"] for cell in summaries), Proportion()) for scheme in SCHEMES]
    said = [f"{'at least ' if each.open else ''}{_percent(each.yes, max(each.trials, 1))}" for each in shares]
    return (
        f"Of {shares[0].trials:,} markets, every equilibrium is proved to give every user all that an aligned model "
        f"would: in {said[0]} if policies are personalized, and in {said[1]} if they are anonymous."
    )


def known_of_undecided(summaries: Sequence[CellSummary]) -> str:
    """What is known of the undecided markets: the personalized half mostly is. Empty where there are none."""
    pair = pooled(summaries)
    if not (left := undecided(pair)):
        return ""
    if_personalized, not_so = pair.counts[_YES][_OPEN], pair.counts[_NO][_OPEN]
    rest = left - if_personalized - not_so
    also = f"; in {rest:,} the personalized half is open" if rest else ""
    return (
        f"Of the {left:,} undecided, personalized policies serve every user in {if_personalized:,} and do not in "
        f"{not_so:,}{also}."
    )


def _percent_range(share: Proportion) -> str:
    """A share in percent, from none to all of the markets in which it is open, such as `0.3 to 18.9 %`."""
    if not share.open:
        return _percent(share.yes, share.trials)
    low, high = (100 * end for end in share.estimate)
    digits = 1 if 0 < low < 1 or high < 1 else 0
    least = f"{low:.{digits}f}" if low >= 0.05 else "less than 0.1" if low else "0"
    return f"{least} to {high:.{digits}f} %"


def _percent(count: int, total: int) -> str:
    """A share in percent; one that is not quite nothing, or all, is not rounded to that."""
    if count in (0, total):
        return "none" if not count else "all"
    value = 100 * count / total
    if 1 <= value <= 99:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if 0.1 <= value <= 99.9 else "less than 0.1 %" if value < 1 else "more than 99.9 %"
