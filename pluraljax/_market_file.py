"""Markets in files: one `.npz` archive per market, with the names of `Market`'s arrays."""

import os
import zipfile
from pathlib import Path

import numpy as np

from ._market import PRIOR_SUM_TOLERANCE, Market, observed_market

_NAMES = ("prior", "user_value", "provider_value", "mass")


def save_market(path: str | os.PathLike[str], market: Market) -> None:
    """Writes one market to a file, exactly as it is stored; nothing is ever overwritten.

    **Arguments:**

    - `path`: where to write, as it is given; by custom it ends in `.npz`.
    - `market`: one market, with concrete arrays.

    Raises `FileExistsError` when there is something at `path` already.
    """
    arrays = {name: np.asarray(getattr(market, name)) for name in _NAMES}
    _check_values(Path(path), arrays)
    path = Path(path)
    try:
        with path.open("xb") as file:
            try:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise FileExistsError(f"{path} exists already, and nothing is overwritten. Choose another name.") from None


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
    arrays = _read(path)
    for name in ("user_value", "provider_value"):
        if name not in arrays:
            raise ValueError(f"{path} has no array {name!r}; it holds {_list(arrays)}.")
    prior = arrays.get("prior")
    if prior is not None and prior.ndim > 2 and "mass" not in arrays:
        raise ValueError(f"{path} has a prior[user,type,evidence,state] but no array 'mass'; it holds {_list(arrays)}.")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name!r} holds {array.dtype} instead of real numbers.")
    try:
        if prior is None or prior.ndim <= 2:
            market = observed_market(arrays["user_value"], arrays["provider_value"], prior, arrays.get("mass"))
        else:
            market = Market(prior, arrays["user_value"], arrays["provider_value"], arrays["mass"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    _check_values(path, {name: np.asarray(getattr(market, name)) for name in _NAMES})
    return market


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            unknown = sorted(set(archive.files) - set(_NAMES))
            if unknown:
                raise ValueError(f"it holds {_list(unknown)}, which a market does not have: {_list(_NAMES)}")
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise ValueError(f"{path} is not an .npz archive of a market: {error}.") from None


def _list(names) -> str:
    return ", ".join(map(repr, names)) or "nothing"


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
