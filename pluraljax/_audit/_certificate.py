"""What proves how many models one prompt survives the loss of, for anybody to check."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ._audit import Finding, find
from ._mixtures import survival
from ._prompt import Prompt


@dataclass(frozen=True)
class Certificate:
    """A proof of one prompt's number, in exact arithmetic on the stored scores.

    `weights[mixture model]` cover the prompt, each by itself, and every removal of `proved` models misses the support
    of one of them; more than `asked` are not looked at. `finding` says what was found; where its mixture of answers is
    there, `refuted` says that it was checked once more: to all models but those removed it is at least as good as the
    baseline, and worse for the user.
    """

    prompt: Prompt
    models: tuple[str, ...]
    finding: Finding
    asked: int
    proved: int
    weights: np.ndarray
    refuted: bool

    @property
    def is_proved(self) -> bool:
        """Whether what was found is proved, as far as the loss of `asked` models."""
        closed = self.finding.upper >= self.asked or self.refuted
        return self.proved >= min(self.finding.lower, self.asked) and closed

    def as_data(self) -> dict[str, Any]:
        """Plain data, as JSON holds it."""
        named = lambda row: {self.models[i]: float(row[i]) for i in np.flatnonzero(row)}
        mixture = self.finding.mixture
        return {
            "prompt": self.prompt.name,
            "baseline": int(self.prompt.baseline),
            "survives": [self.finding.lower, self.finding.upper],
            "proved": self.proved,
            "weights": [named(row) for row in self.weights],
            "removed": [self.models[i] for i in np.flatnonzero(self.finding.removed)],
            "mixture": None
            if mixture is None
            else {str(a): str(share) for a, share in zip(self.prompt.others.tolist(), mixture, strict=True)},
            "is_proved": self.is_proved,
        }

    def __str__(self) -> str:
        found, data = self.finding, self.as_data()
        if found.lower == len(self.models):
            lines = [f"prompt {self.prompt.name}: nothing is to be gained from leaving answer {data['baseline']}"]
        elif found.upper == -1:
            lines = [f"prompt {self.prompt.name}: not covered from answer {data['baseline']}, with all models there"]
        else:
            number = f"{found.lower}" if found.lower == found.upper else f"{found.lower} to {found.upper}"
            lines = [
                f"prompt {self.prompt.name}: covered from answer {data['baseline']} after the loss of any {number}"
            ]
        if self.proved >= 0:
            lines.append(
                f"any {self.proved} models miss the support of one of {len(self.weights):,} weights, each of which "
                "covers it (exact arithmetic):"
            )
            lines += ["  " + " + ".join(f"{w:.6g} {name}" for name, w in row.items()) for row in data["weights"][:20]]
            lines += [f"  and {len(self.weights) - 20:,} more (--json has them)"] if len(self.weights) > 20 else []
        if self.refuted:
            removed = ", ".join(data["removed"]) or "nobody"
            shares = ", ".join(f"answer {a}: {share}" for a, share in data["mixture"].items() if share != "0")
            lines.append(f"without {removed} it is not: to everybody left the mixture ({shares}) is as good or better")
        return "\n".join([*lines, "PROVED" if self.is_proved else "OPEN"])


# Weights of a proof; a prompt that survives many models needs many.
_MOST_PROGRAMMES = 20_000


def certificate(prompt: Prompt, models: tuple[str, ...], most: int) -> Certificate:
    """Proves what one prompt survives, looking for weights against the loss of at most `most` models."""
    found = find(prompt, most)
    proof = survival(prompt, min(max(found.lower, 0), most), _MOST_PROGRAMMES)
    proved = min(proof.lower, max(found.lower, -1))
    distinct = (
        np.unique(np.array(proof.weights).reshape(-1, len(models)), axis=0) if proof.weights else np.zeros((0, 0))
    )
    return Certificate(prompt, models, found, most, proved, distinct, _refutes(prompt, found))


def _refutes(prompt: Prompt, found: Finding) -> bool:
    """Checks the mixture of other answers with fractions, from the scores as they are."""
    if found.mixture is None:
        return False
    base = int(prompt.baseline)
    total = sum(found.mixture)

    def gain(values: np.ndarray) -> Fraction:
        mixed = sum(
            (
                Fraction(share, total) * Fraction(float(values[other]))
                for other, share in zip(prompt.others, found.mixture or (), strict=True)
            ),
            Fraction(0),
        )
        return mixed - Fraction(float(values[base]))

    stay = np.flatnonzero(~found.removed)
    return all(share >= 0 for share in found.mixture) and gain(prompt.wanted) < 0 <= min(
        (gain(prompt.scores[model]) for model in stay), default=Fraction(0)
    )
