"""Markets in files: one `.npz` archive per market, with the names of `Market`'s arrays."""

import os
from pathlib import Path

import numpy as np

from ._archive import listed, read_archive, write_archive
from ._market import PRIOR_SUM_TOLERANCE, Market, observed_market

_NAMES = ("prior", "user_value", "provider_value", "mass")


def save_market(path: str | os.PathLike[str], market: Market) -> None:
    """Writes one market to a file, exactly as it is stored; nothing is ever overwritten.

    **Arguments:**

    - `path`: where to write, as it is given; by custom it ends in `.npz`.
    - `market`: one market, with concrete arrays.

    Raises `FileExistsError` when there is something at `path` already, and `ValueError` for values that make no sense.
    """
    arrays = _arrays(market)
    _check_values(Path(path), arrays)
    write_archive(Path(path), arrays)


def load_market(path: str | os.PathLike[str]) -> Market:
    """Reads a market from an `.npz` archive; pickled objects are refused.

    The archive holds `prior`, `user_value`, `provider_value` and `mass`, with axes as in `Market`. Or it holds the
    short form of `observed_market`: `user_value`, `provider_value` and, if wanted, `prior` (`[state]` or
    `[user state]`, default uniform) and `mass` (default `1 / users`).

    **Arguments:**

    - `path`: the file.

    **Returns:** a `Market` whose values make sense. Raises `OSError` when there is no such file, and `ValueError` with
    its name for anything that is wrong inside: missing or unknown arrays, shapes, NaN, negative priors or masses.
    """
    path = Path(path)
    arrays = read_archive(path, _NAMES, "market")
    for name in ("user_value", "provider_value"):
        if name not in arrays:
            raise ValueError(f"{path} has no array {name!r}; it holds {listed(arrays)}.")
    prior = arrays.get("prior")
    if prior is not None and prior.ndim > 2 and "mass" not in arrays:
        raise ValueError(
            f"{path} has a prior[user,type,evidence,state] but no array 'mass'; it holds {listed(arrays)}."
        )
    try:
        if prior is None or prior.ndim <= 2:
            market = observed_market(arrays["user_value"], arrays["provider_value"], prior, arrays.get("mass"))
        else:
            market = Market(prior, arrays["user_value"], arrays["provider_value"], arrays["mass"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    _check_values(path, _arrays(market))
    return market


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
