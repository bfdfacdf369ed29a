"""Markets in files: one `.npz` archive per market, with the names of `Market`'s arrays, or a CSV or TOML form."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ._arguments import checked, some_path
from ._files._archive import MOST_BYTES, read_archive, write_archive
from ._files._exact_copy import check_exact_copy
from ._files._place import refuse_folder
from ._files._rows import refuse_workbooks
from ._market import PRIOR_SUM_TOLERANCE, Market, observed_market, one_market
from ._market_form import Form, MarketNames, read_csv_form, read_toml_form
from ._printable import listed

_NAMES = ("prior", "user_value", "provider_value", "mass")


@checked(path=some_path, market=one_market)
def save_market(path: str | os.PathLike[str], market: Market) -> None:
    """Writes one market to a file, exactly as it is stored; nothing is ever overwritten.

    **Arguments:**

    - `path`: where to write, as it is given; by custom it ends in `.npz`.
    - `market`: one market, with concrete arrays.

    Raises `FileExistsError` when there is something at `path` already, and `ValueError` for values that make no sense.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.save_market("market.npz", market)  # for load_market and `pluraljax certify`
    """
    arrays = _arrays(market)
    _check_values(Path(path), arrays)
    write_archive(Path(path), arrays)


class NamedMarket(NamedTuple):
    """One market, and what its users, providers, actions and states are called."""

    market: Market
    names: MarketNames


# Files that people write, by how their names end.
_FORMS: dict[str, Callable[[Path], Form]] = {".csv": read_csv_form, ".toml": read_toml_form}


@checked(path=some_path)
def load_market(path: str | os.PathLike[str]) -> Market:
    """Reads a market from an `.npz` archive, or from a CSV or TOML file that somebody wrote by hand.

    The archive holds `prior`, `user_value`, `provider_value` and `mass`, with axes as in `Market`. Or it holds the
    short form of `observed_market`: `user_value`, `provider_value` and, if wanted, `prior` (`[state]` or
    `[user state]`, default uniform) and `mass` (default `1 / users`). Pickled objects are refused. Names that end in
    `.csv` and `.toml` are read as docs/study.md says; their markets are those of `observed_market`, in which providers
    see the state. Everything else is taken for an archive.

    **Arguments:**

    - `path`: the file.

    **Returns:** a `Market` whose values make sense. Raises `OSError` when there is no such file, and `ValueError` with
    its name for anything that is wrong inside: missing or unknown arrays or names, shapes, NaN, negative priors or
    masses, and arrays of numbers that float64 does not hold, such as integers above 2**53. Decimals in texts are read
    as the nearest float64.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        plx.save_market("market.npz", market)
        market = plx.load_market("market.npz")
    """
    return load_named_market(path).market


@checked(path=some_path)
def load_named_market(path: str | os.PathLike[str]) -> NamedMarket:
    """Reads a market as `load_market` does, with its names; those of an archive are `user 0`, `user 1` and so on.

    **Arguments:**

    - `path`: the file.

    **Returns:** a `NamedMarket`, which is a pair. Raises what `load_market` raises.

    Example::

        market, names = plx.files.load_named_market("docs/examples/shop.csv")
        print(plx.study(market, names))
    """
    path = Path(path)
    refuse_folder(path, "a market's file (.npz, .csv or .toml)", (".npz", ".csv", ".toml"))
    refuse_workbooks(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    # In our scope nothing is rounded, and there is nothing to warn of yet: whoever only asks `study` never has to care.
    with jax.enable_x64(True):
        if (reader := _FORMS.get(path.suffix.lower())) is not None:
            form = reader(path)
            return NamedMarket(observed_market(form.user_value, form.provider_value, form.prior, form.mass), form.names)
        market = _load_archive(path)
    users, actions, states = market.user_value.shape
    return NamedMarket(market, MarketNames.numbered(users, market.num_providers, actions, states))


def _load_archive(path: Path) -> Market:
    arrays = read_archive(path, _NAMES, "market", check=_check_shapes)
    given = dict(arrays)
    if "prior" in given and given["prior"].ndim <= 2:
        # Widened here: on its way through a compiled program a float32 number below 1e-38 would become 0.
        given["prior"] = given["prior"].astype(np.promote_types(given["prior"].dtype, np.float64))
    market = _market(given)
    read = _arrays(market)
    for name, stored in arrays.items():
        short = name == "prior" and stored.ndim <= 2
        check_exact_copy(path, name, stored, _observed_prior(read["prior"], stored.ndim) if short else read[name])
    _check_values(path, read)
    return market


def _observed_prior(prior: np.ndarray, axes: int) -> np.ndarray:
    """The short form of a prior whose evidence is the state: `[user state]`, or `[state]` as the first user has it."""
    rows = np.diagonal(prior[:, 0], axis1=-2, axis2=-1)
    return rows[0] if axes == 1 else rows


def _market(arrays: Mapping[str, Any]) -> Market:
    """The market of an archive's arrays; raises `ValueError` where they are not those of a market."""
    for name in ("user_value", "provider_value"):
        if name not in arrays:
            raise ValueError(f"there is no array {name!r}; it holds {listed(arrays)}.")
    prior = arrays.get("prior")
    if prior is None or prior.ndim <= 2:
        return observed_market(arrays["user_value"], arrays["provider_value"], prior, arrays.get("mass"))
    if "mass" not in arrays:
        raise ValueError(f"there is a prior[user,type,evidence,state] but no array 'mass'; it holds {listed(arrays)}.")
    return Market(prior, arrays["user_value"], arrays["provider_value"], arrays["mass"])


def _check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `ValueError` where arrays of these shapes are no market, or one that would be too large."""
    arrays = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    made = jax.eval_shape(_market, arrays)
    # A short prior becomes one of states times states.
    if (size := 8 * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(made))) > MOST_BYTES:
        raise ValueError(f"the market would take {size:,} bytes, more than {MOST_BYTES:,}.")


def _arrays(market: Market) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(market, name)) for name in _NAMES}


def _check_values(path: Path, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name!r} holds NaN or infinity.")
    prior, mass = np.asarray(arrays["prior"], np.float64), arrays["mass"]
    if (prior < 0).any():
        raise ValueError(f"{path}: 'prior' has a negative entry. Priors are probabilities.")
    off = np.abs(prior.sum(axis=(1, 2, 3)) - 1)
    if off.max() > PRIOR_SUM_TOLERANCE:
        user = int(off.argmax())
        raise ValueError(
            f"{path}: the 'prior' of user {user} sums to {prior[user].sum():.9g} instead of 1. Divide it by its sum."
        )
    if (mass <= 0).any():
        raise ValueError(f"{path}: 'mass' has an entry that is not positive. Leave users out who do not count.")
