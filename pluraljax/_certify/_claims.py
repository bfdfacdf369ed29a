"""Claims and their verdicts: what float64 said, what exact arithmetic proves, and by which numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite
from typing import Any, Literal

from ._rational import Rationals, as_float, rounded, written

PROVED, OPEN, REFUTED = "PROVED", "OPEN", "REFUTED"
Verdict = Literal["PROVED", "OPEN", "REFUTED"]

# How far apart the two exact ends of a bracket may be for the quantity to count as known, as a share of its scale.
TOLERANCE = Fraction(1e-6)
# How much better than its proof a float64 number may be: a share of the range of payoffs, and of their size.
_OF_RANGE, _OF_SIZE = Fraction(1e-9), Fraction(1e-12)


def allowance(values: Rationals) -> Fraction:
    """How much of a float64 number is put down to rounding, for payoffs like these."""
    return _OF_RANGE * (values.max() - values.min()) + _OF_SIZE * abs(values).max()


@dataclass(frozen=True)
class Bound:
    """One end of a bracket. `value` is proved exactly; `reported` is the float64 number that it was to prove.

    `proof` says in words which inequality and which multipliers prove it, and `data` holds them in full.
    """

    side: Literal["lower", "upper"]
    value: Fraction
    reported: float
    allowance: Fraction
    proof: list[str]
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shortfall(self) -> Fraction:
        """By how much the float64 number says more than is proved; 0 where it does not."""
        if not isfinite(self.reported):
            return self.allowance + 1
        difference = Fraction(self.reported) - self.value
        return max(difference if self.side == "lower" else -difference, Fraction(0))

    @property
    def is_proved(self) -> bool:
        return self.shortfall <= self.allowance

    @property
    def shown(self) -> str:
        """The proved number, rounded outward."""
        return rounded(self.value, up=self.side == "upper")


@dataclass(frozen=True)
class Claim:
    """A statement about one quantity, with a bound or both; `key` names it for machines.

    Two bounds have to be closer than `tolerance` times `scale`, so that the quantity is known.
    """

    key: str
    quantity: str
    bounds: list[Bound]
    scale: Fraction
    tolerance: Fraction = TOLERANCE

    @property
    def verdict(self) -> Verdict:
        return OPEN if self.reason else PROVED

    @property
    def reason(self) -> str:
        """Why the claim is open; empty where it is proved."""
        for bound in self.bounds:
            if not bound.is_proved:
                return (
                    f"float64 reported {bound.reported!r} as the {bound.side} end, "
                    f"{as_float(bound.shortfall):.3g} beyond what is proved (allowed: {as_float(bound.allowance):.3g})"
                )
        ends = {bound.side: bound.value for bound in self.bounds}
        if len(ends) == 2 and ends["upper"] < ends["lower"]:
            return "the lower end is above the upper one: please report this as a bug"
        if len(ends) == 2 and ends["upper"] - ends["lower"] > self.tolerance * self.scale:
            width, known = as_float(ends["upper"] - ends["lower"]), as_float(self.tolerance * self.scale)
            return f"both ends hold, but are {width:.3g} apart (needed: at most {known:.3g})"
        return ""

    @property
    def statement(self) -> str:
        """The claim as an inequality between decimals, each rounded to the safe side."""
        ends = {bound.side: bound.shown for bound in self.bounds}
        left = f"{ends['lower']} <= " if "lower" in ends else ""
        right = f" <= {ends['upper']}" if "upper" in ends else ""
        return f"{left}{self.quantity}{right}"


@dataclass(frozen=True)
class Question:
    """A question with a yes or no, such as whether a profile is an equilibrium."""

    key: str
    quantity: str
    verdict: Verdict
    reason: str
    claims: list[Claim]

    @property
    def statement(self) -> str:
        return self.quantity


@dataclass(frozen=True)
class Section:
    """Claims on one subject, and the words before them. What is no part of the proof has no number."""

    title: str
    words: list[str]
    claims: Sequence[Claim | Question]
    is_numbered: bool = True


@dataclass(frozen=True)
class Certificate:
    """Everything that was claimed about one market, re-evaluated in rational arithmetic.

    `str(certificate)` is a proof to read, and `certificate.as_data()` the same for machines.
    """

    subject: str
    words: list[str]
    sections: list[Section]

    @property
    def claims(self) -> list[Claim | Question]:
        return [claim for section in self.sections for claim in section.claims]

    @property
    def is_proved(self) -> bool:
        """Whether every claim is proved."""
        return all(claim.verdict == PROVED for claim in self.claims)

    def claim(self, key: str) -> Claim | Question:
        """Finds a claim by its key."""
        for claim in self.claims:
            if claim.key == key:
                return claim
        raise KeyError(f"No claim {key!r}; there are {', '.join(claim.key for claim in self.claims)}.")

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def brief(self) -> str:
        """Writes the conclusion, how many claims are proved, and those that are not."""
        lines = _beginning(self)
        for claim in self.claims:
            if claim.verdict != PROVED:
                lines += _head_lines(claim, "   ")
        return "\n".join(lines).rstrip("\n")

    def as_data(self) -> dict[str, Any]:
        """Makes dictionaries and lists for JSON; rationals are strings p/q next to floats."""
        return {
            "subject": self.subject,
            "words": self.words,
            "proved": self.is_proved,
            "verdicts": _counts(self),
            "sections": [
                {"title": section.title, "words": section.words, "claims": [_claim_data(c) for c in section.claims]}
                for section in self.sections
            ],
        }


def _counts(certificate: Certificate) -> dict[str, int]:
    verdicts = [claim.verdict for claim in certificate.claims]
    return {verdict: verdicts.count(verdict) for verdict in (PROVED, OPEN, REFUTED)}


_WIDTH = 110


def _counted(certificate: Certificate) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in _counts(certificate).items() if count)
    return f"{len(certificate.claims)} claims: {counts}."


def _beginning(certificate: Certificate) -> list[str]:
    lines = [certificate.subject]
    for section in (each for each in certificate.sections if not each.is_numbered):
        words = (*section.words, _counted(certificate))
        lines += ["", section.title, *(f"   {word}" for word in words), ""]
    return lines


def _lines(certificate: Certificate) -> list[str]:
    lines = [*_beginning(certificate), *certificate.words]
    for number, section in enumerate((each for each in certificate.sections if each.is_numbered), start=1):
        lines += ["", f"{number}. {section.title}", *(f"   {word}" for word in section.words)]
        for claim in section.claims:
            lines += ["", *_head_lines(claim, "   "), *_proof_lines(claim, "   ")]
    return [*lines, "", _counted(certificate)]


def _head_lines(claim: Claim | Question, indent: str) -> list[str]:
    """The statement with its verdict, and why: of what is counted there is one verdict each."""
    head = f"{indent}{claim.statement}"
    lines = [f"{head}{' ' * max(_WIDTH - len(head) - len(claim.verdict), 2)}{claim.verdict}"]
    return [*lines, f"{indent}  why: {claim.reason}"] if claim.reason else lines


def _proof_lines(claim: Claim | Question, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(claim, Question):
        # What a question rests on is no claim of its own.
        for part in claim.claims:
            lines += [f"{indent}  {part.statement}", *_proof_lines(part, indent + "  ")]
        return lines
    for bound in claim.bounds:
        relation = ">=" if bound.side == "lower" else "<="
        lines += [
            f"{indent}  {relation} {bound.shown}: {bound.proof[0]}",
            *(f"{indent}       {s}" for s in bound.proof[1:]),
        ]
    return lines


def _claim_data(claim: Claim | Question) -> dict[str, Any]:
    data: dict[str, Any] = {
        "key": claim.key,
        "statement": claim.statement,
        "verdict": claim.verdict,
        "reason": claim.reason,
    }
    if isinstance(claim, Question):
        return data | {"claims": [_claim_data(part) for part in claim.claims]}
    return data | {"scale": _number(claim.scale), "bounds": [_bound_data(bound) for bound in claim.bounds]}


def _bound_data(bound: Bound) -> dict[str, Any]:
    return {
        "side": bound.side,
        "exact": _number(bound.value),
        "shown": bound.shown,
        "reported": bound.reported if isfinite(bound.reported) else None,
        "shortfall": _number(bound.shortfall),
        "allowance": _number(bound.allowance),
        "proved": bound.is_proved,
        "proof": bound.proof,
        "data": as_plain(dict(bound.data)),
    }


def _number(value: Fraction) -> dict[str, Any]:
    return {"fraction": written(value), "float": as_float(value)}


def as_plain(value: Any) -> Any:
    """Makes lists and dictionaries of strings, numbers and p/q strings."""
    if isinstance(value, Fraction):
        return written(value)
    if isinstance(value, Mapping):
        return {str(key): as_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return as_plain(value.tolist())
    return value
