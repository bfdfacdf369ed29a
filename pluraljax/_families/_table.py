"""The parameters of the `table` family: which file, and what a key draws from it. Imports no JAX."""

import os
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal, no_type_check

from ._family import DECISION, Family, choice, drawn_in_float64, parameter, real, whole
from ._registry import register

if TYPE_CHECKING:
    from .._market import Market
    from ._table_core import TableCounts

ENDINGS = (".csv", ".parquet", ".npz")


def _path(value: Any) -> str:
    path = os.fspath(value)
    if not isinstance(path, str) or not path.lower().endswith(ENDINGS):
        raise ValueError
    return path


def _path_or_none(value: Any) -> str | None:
    return None if value is None else _path(value)


def _digest(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


@register("table")
@no_type_check
@dataclass(frozen=True)
class Table(Family):
    """Markets of real utilities: users are raters of a file, actions are items, states are contexts.

    Without a context column a state is a slate: `u_j(a, y)` is what user j gives to the a-th item on offer in state y,
    and every slate has items of its own. With one, actions are items that stay the same and `u_j(a, y)` is what she
    gives to item a in context y. A key draws which raters, items and contexts there are.

    **Arguments:**

    - `path`: a `.csv`, `.parquet` or `.npz` file of ratings; the layouts are in `docs/ratings.md`.
    - `scores`: a second such file, of providers' scores of the same items; an `.npz` may hold both itself.
    - `providers`, `users`: how many are drawn; at least 1.
    - `actions`, `states`: items on offer, at least 2, and slates or contexts, at least 1. Without contexts the file
      needs `actions * states` items.
    - `source`: what providers care about: `"scores"`, or `"raters"`, the average rating of `group` raters who are
      not among the users; `"auto"` takes scores where there are any.
    - `group`: raters per provider; at least 1. More than 1 needs providers that are raters.
    - `missing`: `"fill"` puts the fit of an additive model, rater plus item plus context, in place of an entry that is
      missing (within the range of the file), `"refuse"` raises `ValueError` with the first one.
    - `least_share`: raters and items are dropped, the emptiest first, until every one that is left has at least this
      share of its entries; 0 to 1. At 1 nothing is filled.
    - `prior`: of the state, `"uniform"` or `"dirichlet"` (a flat Dirichlet draw per user).
    - `digest`: of the files' bytes. It is filled in, so that a scan knows its data; where given it has to agree.

    Raises `ValueError`, with the file and the row, for anything in a file that makes no sense, when it cannot be read,
    and when it has too few raters, items, contexts or providers.
    """

    path: str = parameter("", _path, f"the path of a file that ends in {', '.join(ENDINGS)}")
    _: KW_ONLY
    scores: str | None = parameter(None, _path_or_none, f"None or the path of a file that ends in {', '.join(ENDINGS)}")
    providers: int = whole(3, least=1)
    users: int = whole(2, least=1)
    actions: int = whole(3, least=2, reason=DECISION)
    states: int = whole(3, least=1)
    source: Literal["auto", "scores", "raters"] = choice("auto", "scores", "raters")
    group: int = whole(1, least=1)
    missing: Literal["fill", "refuse"] = choice("fill", "refuse")
    least_share: float = real(0.0, least=0.0, most=1.0)
    prior: Literal["uniform", "dirichlet"] = choice("uniform", "dirichlet")
    digest: str = parameter("", _digest, "the digest of the files' bytes, or nothing")

    def __post_init__(self):
        super().__post_init__()
        from ._table_core import check_sizes, digest_of

        found = digest_of(self.path, self.scores)
        if self.digest not in ("", found):
            both = self.path if self.scores is None else f"{self.path} or {self.scores}"
            raise ValueError(f"table: {both} has changed: its digest is {found}, but {self.digest} was wanted.")
        object.__setattr__(self, "digest", found)
        check_sizes(self)

    def draw(self, key: Any) -> "Market":
        """Draws one market with `u_j(a, y)` and `v_i(a, y)` looked up in the table (design 7)."""
        from ._table_draws import draw

        return draw(self, key)

    @property
    def counts(self) -> "TableCounts":
        """How many raters, items, contexts and providers there are to draw from, and how many entries were missing."""
        from ._table_core import load

        return load(self).counts

    def filled(self, key: Any) -> Any:
        """Counts the entries of one market's `user_value` and `provider_value` that are filled in, int32 `[2]`.

        A provider's entry counts if the rating of any rater behind it was missing. Works under `jax.vmap`.
        """
        from ._table_draws import filled

        return drawn_in_float64(filled)(self, key)
