"""What a study answers: numbers per user, sentences, and the forms in which they can be taken on."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .._calls import asked_again
from .._market_form import MarketNames
from .._worst_shared import Outlook
from ._parts import Scheme, UserAnswer


@dataclass(frozen=True, eq=False)
class Study:
    """The answer to one market: prints as a table with sentences, in a terminal and in a notebook.

    `users` has a row per user, in the market's order; `sentence` is about all of them, `reasons` are the conditions
    that hold, and `changes` say what would change the answer. `outlooks` say of what is open whether a longer search is
    worth it, and which `budget` asks for it. `personalized` and `anonymous` hold the numbers behind it as arrays.
    `parts` is how many parts the search for the worst anonymous equilibrium looked at, or may have: as the `budget` of
    a study, or of a certificate, it asks for the same search. `strong_error` brackets the error of
    `plx.strong_alignment`, whose weights are `strong_weights`. `equally_likely` says whether all states are, for
    everybody: what a file without a prior stands for.
    """

    names: MarketNames
    delta: float
    users: tuple[UserAnswer, ...]
    personalized: Scheme
    anonymous: Scheme
    strong_error: tuple[float, float]
    strong_weights: dict[str, float]
    sentence: str
    reasons: tuple[str, ...]
    changes: tuple[str, ...]
    # The budget of the search for anonymous equilibria that this rests on; 0 where there was none.
    parts: int
    outlooks: tuple[Outlook, ...]
    # Where the market comes from, and whether names came with it: what commands and calls are made of.
    file: str | None
    has_names: bool
    equally_likely: bool
    # What the sentences of `changes` are made of: payments and exits, as plain data.
    interventions: dict[str, Any] = field(repr=False)

    @property
    def is_decided(self) -> bool:
        """Whether it is known of every user, both ways, if she is served."""
        return all(bool((scheme.served >= 0).all()) for scheme in (self.personalized, self.anonymous))

    def again(self, what: str, budget: int | None) -> str:
        """The command, or the call, that asks a `study` or `certify` of the same market, with a budget."""
        options = {"delta": self.delta or None, "budget": budget}
        return asked_again(what, self.file, options, has_names=self.has_names)

    def as_data(self) -> dict[str, Any]:
        """Everything as plain data for JSON; a number that is none, or not finite, is null."""
        scheme = lambda each: {"everybody_served": each.everybody, "silence_is_an_equilibrium": each.silence}
        data = {
            "sentence": self.sentence,
            "reasons": self.reasons,
            "changes": self.changes,
            "delta": self.delta,
            "parts": self.parts,
            "outlooks": [outlook._asdict() for outlook in self.outlooks],
            "names": asdict(self.names),
            "equally_likely": self.equally_likely,
            "users": [asdict(user) for user in self.users],
            "personalized": scheme(self.personalized),
            "anonymous": scheme(self.anonymous),
            "strong_error": self.strong_error,
            "strong_weights": self.strong_weights,
            "interventions": self.interventions,
        }
        return plain(data)

    def to_pandas(self) -> Any:
        """Makes a `pandas.DataFrame` with a row per user, whose brackets are two columns each.

        Raises `ImportError` where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError("to_pandas needs pandas, which is not installed: pip install pandas.") from None
        rows = []
        for user in self.users:
            row: dict[str, Any] = {}
            for name, value in vars(user).items():
                if isinstance(value, dict):
                    row |= {f"{name} of {provider}": weight for provider, weight in value.items()}
                elif isinstance(value, tuple) and name != "reasons":
                    row |= {f"{name}_lower": value[0], f"{name}_upper": value[1]}
                else:
                    row[name] = " ".join(value) if name == "reasons" else value
            rows.append(row)
        return pd.DataFrame(rows).set_index("name")

    def __str__(self) -> str:
        from ._shown import as_text

        return as_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from ._shown import as_html

        return as_html(self)


def plain(value: Any) -> Any:
    """Plain data that JSON can hold: no tuples, no NumPy, and null for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
