"""Status codes: what happened to one row of a batch, and the sentence that says what to do about it."""

from enum import IntEnum


class Status(IntEnum):
    """What happened to one row. Codes are stored in scans, so a code is never reused for another meaning.

    Each has a `sentence` that says what it means and what to try next.
    """

    OK = 0
    RESCUED = 1
    OPEN = 2
    IN_DOUBT = 3
    NOT_FINITE = 10
    NEGATIVE_PRIOR = 11
    PRIOR_NOT_NORMALISED = 12
    MASS_NOT_POSITIVE = 13
    POLICY_NOT_NORMALISED = 14
    TOO_SMALL = 15

    @property
    def sentence(self) -> str:
        """What the status means and what to try next."""
        return _SENTENCES[self]

    @property
    def is_valid(self) -> bool:
        """Whether the row held a market at all (its numbers are NaN otherwise)."""
        return self < Status.NOT_FINITE


_SENTENCES = {
    Status.OK: "Every bracket closed to its tolerance.",
    Status.RESCUED: (
        "The batched solver failed on this row; the exact host solver found the candidates, and every bracket closed. "
        "Nothing to do."
    ),
    Status.OPEN: (
        "At least one bracket stayed wider than its tolerance. Its ends are still valid bounds; rescaling payoffs that "
        "span many orders of magnitude usually closes it."
    ),
    Status.IN_DOUBT: (
        "The answer hangs on the rounding of the payoffs: some inequalities can only be met with equality, or best "
        "actions differ by less than sums are exact to. Both ends are valid bounds, and no solver brings them together."
        " Of a guarantee, plx.certify is the one to ask: it reads the stored numbers exactly, and may decide it."
    ),
    Status.NOT_FINITE: "An array holds NaN or infinity. Check the source of the payoffs, priors and masses.",
    Status.NEGATIVE_PRIOR: "A prior has a negative entry. Priors are probabilities: clip or correct them.",
    Status.PRIOR_NOT_NORMALISED: (
        "A user's prior over (type, evidence, state) does not sum to 1 within 1e-6. Divide it by its sum."
    ),
    Status.MASS_NOT_POSITIVE: "A user's mass is zero, negative or next to zero. Give every user positive mass.",
    Status.POLICY_NOT_NORMALISED: (
        "A policy has a negative or missing entry, or does not sum to 1 over signals within 1e-6. Divide it by its sum."
    ),
    Status.TOO_SMALL: (
        "Payoffs are too close to zero for double precision: all of a user's or provider's are below 1e-301, or one is "
        "below that share of the largest. Rescale payoffs, and replace what is as good as zero by zero."
    ),
}
# So that `help` tells them, too.
Status.__doc__ = "\n".join(
    [f"{Status.__doc__}".rstrip(), "", *(f"    - `{each.name}` ({each.value}): {each.sentence}" for each in Status), ""]
)
