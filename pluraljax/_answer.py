"""What every answer has: a bracket, a status, what attains one end and what proves the other; and how it reads."""

import dataclasses
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ._bracket import Bracket
from ._shown import MOST_SHOWN, is_concrete, shown
from ._status import Status
from ._truth import Truth

if TYPE_CHECKING:
    import pandas
    import xarray


def _value_of(answer: Any) -> Bracket:
    return answer.value


def truth_of(holds: Bool[Array, "*batch"], fails: Bool[Array, "*batch"]) -> Int[Array, "*batch"]:
    """Codes of `Truth` from what is proved and what is refuted."""
    known = jnp.where(fails, jnp.int32(Truth.FAILS), jnp.int32(Truth.OPEN))
    return jnp.asarray(jnp.where(holds, jnp.int32(Truth.HOLDS), known))


class Readable(eqx.Module):
    """What prints its numbers, and codes in words: a line for each field, and in notebooks a row."""

    def __repr__(self) -> str:
        if not is_concrete(self):
            return super().__repr__()
        lines = [f"{name}={text}" for name, text in _fields(self)]
        return f"{type(self).__name__}(\n  " + ",\n  ".join(lines) + ",\n)"

    def _repr_html_(self) -> str:
        if not is_concrete(self):
            return f"<pre>{escape(repr(self))}</pre>"
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in _fields(self))
        return f"<table><caption>{escape(type(self).__name__)}</caption>{rows}</table>"


class Answer(Readable):
    """One answer about one market, or about a batch of them with leading axes in front of all others.

    `value` brackets what was asked for, and `status` says with `Status` codes how that went. `lower` and `upper` are
    short for the ends of `value`. `witness` is what attains one of them, and `proof` what proves the other; `None`
    where the answer does not carry it, and `certify` looks for one.
    """

    # Fields of every answer, in whatever order, which a type checker would take for the first ones of all.
    if not TYPE_CHECKING:
        value: eqx.AbstractVar[Bracket]
        status: eqx.AbstractVar[Int[Array, "..."]]

    # The fields that are `witness` and `proof`; none where the answer does not carry it.
    attained_by: ClassVar[str] = ""
    proved_by: ClassVar[str] = ""
    # What is said beside a status that is in doubt.
    in_doubt: ClassVar[str] = ""

    @property
    def lower(self) -> Array | np.ndarray:
        """The lower end of `value`."""
        return _value_of(self).lower

    @property
    def upper(self) -> Array | np.ndarray:
        """The upper end of `value`."""
        return _value_of(self).upper

    @property
    def witness(self) -> Any:
        """What attains an end of `value`: the field that `attained_by` names, or `None`."""
        return getattr(self, self.attained_by) if self.attained_by else None

    @property
    def proof(self) -> Any:
        """What proves the other end: the field that `proved_by` names, or `None`."""
        return getattr(self, self.proved_by) if self.proved_by else None

    def to_xarray(self) -> "xarray.Dataset":
        """Makes an `xarray.Dataset` of the arrays of one answer, or of a batch (`batch_0`, ... are its axes).

        The ends of `value` are `lower` and `upper`. What is no array itself, such as a profile, is left out.
        """
        import xarray

        arrays = {}
        lead = np.ndim(dict(_arrays(self))["status"]) - len(_axes(self, "status"))
        batch = tuple(f"batch_{place}" for place in range(lead))
        for name, leaf in _arrays(self):
            axes = _axes(self, "status" if name in ("lower", "upper") else name)
            # The axes of a bracket are not written down where they are not those of the status.
            axes = axes if lead + len(axes) == leaf.ndim else tuple(f"{name}_{n}" for n in range(leaf.ndim - lead))
            arrays[name] = (batch + axes, np.asarray(leaf))
        return xarray.Dataset(arrays)

    def to_pandas(self) -> "pandas.DataFrame":
        """Makes a table of what has an entry for each entry of `status`; needs pandas. A code has its name in it."""
        table = self.to_xarray()
        # What has further axes, such as weights `[user provider]`, has a column for each of their entries.
        shared = table["status"].dims
        columns = {name: table[name] for name in table if table[name].dims == shared}
        for name in table:
            extra = tuple(axis for axis in table[name].dims if axis not in shared)
            if len(extra) == 1 and table[name].dims == (*shared, *extra):
                columns |= {f"{name}_{n}": table[name].isel({extra[0]: n}) for n in range(table.sizes[extra[0]])}
        frame = type(table)(columns).to_dataframe() if shared else _one_row(columns)
        frame["status"] = [Status(int(code)).name for code in frame["status"]]
        return frame


class Decided(Answer):
    """An answer about gains that also says, in `holds`, whether there is an equilibrium: a `Truth` code."""

    if not TYPE_CHECKING:
        holds: eqx.AbstractVar[Int[Array, "..."]]

    @property
    def is_equilibrium(self) -> Any:
        """Whether it is proved that no provider gains more than delta."""
        return _truth_in(self) == Truth.HOLDS

    @property
    def is_refuted(self) -> Any:
        """Whether it is proved that some provider gains more than delta."""
        return _truth_in(self) == Truth.FAILS


def _truth_in(answer: Any) -> Any:
    return answer.holds


def _one_row(columns: dict[Any, Any]) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame({name: [column.item()] for name, column in columns.items()})


def _axes(answer: Answer, name: str) -> tuple[str, ...]:
    """The names of the axes of a field, as its annotation has them."""
    annotation = type(answer).__annotations__.get(name)
    words = str(getattr(annotation, "dim_str", "")).split()
    return tuple(word for word in words if not word.startswith(("*", "."))) if annotation is not None else ()


def _names(answer: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(answer)]


def _arrays(answer: Answer) -> Iterator[tuple[str, Array]]:
    ends = _value_of(answer)
    yield from (("lower", ends.lower), ("upper", ends.upper))
    for name in _names(answer):
        leaf = getattr(answer, name)
        if name != "value" and hasattr(leaf, "dtype"):
            yield name, leaf


def _fields(answer: Any) -> Iterator[tuple[str, str]]:
    for name in _names(answer):
        leaf = getattr(answer, name)
        if name == "status":
            beside = (
                answer.in_doubt if isinstance(answer, Answer) and (np.asarray(leaf) == Status.IN_DOUBT).any() else ""
            )
            yield name, _coded(leaf, Status) + (f" ({beside})" if beside else "")
        elif name == "holds":
            yield name, _coded(leaf, Truth)
        elif isinstance(leaf, Bracket):
            lower, upper = shown(leaf.lower), shown(leaf.upper)
            yield name, lower if lower == upper else f"[{lower}, {upper}]"
        elif hasattr(leaf, "dtype"):
            yield name, shown(leaf)
        else:
            sizes = ", ".join(str(list(np.shape(part))) for part in jax.tree.leaves(leaf)[:4])
            yield name, f"{type(leaf).__name__}({sizes})" if sizes else type(leaf).__name__


def _coded(leaf: Any, codes: type[Status] | type[Truth]) -> str:
    """Codes by name; how many of each where they are many."""
    array = np.asarray(leaf)
    names = [codes(int(code)).name for code in array.ravel()]
    if array.ndim == 0:
        return names[0]
    if array.size <= MOST_SHOWN:
        return f"[{', '.join(names)}]"
    return ", ".join(f"{names.count(name):,} {name}" for name in dict.fromkeys(names))
