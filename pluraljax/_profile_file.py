"""Profiles in files: one `.npz` archive per profile, with the names of `Profile`'s arrays."""

import os
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from ._arguments import checked, instance_of, some_path
from ._conversation import POLICY_SUM_TOLERANCE, Profile
from ._files._archive import read_archive, write_archive
from ._files._exact_copy import check_exact_copy
from ._printable import listed

_NAMES = ("policy", "recommended", "asked", "choice")


@checked(path=some_path, profile=instance_of(Profile))
def save_profile(path: str | os.PathLike[str], profile: Profile) -> None:
    """Writes one profile of policies to a file; nothing is ever overwritten.

    **Arguments:**

    - `path`: where to write, as it is given; by custom it ends in `.npz`.
    - `profile`: one profile, with concrete arrays.

    Raises `FileExistsError` when there is something at `path` already, and `ValueError` for a profile of several
    rounds, which files do not hold (`in_one_round` tells it as one).

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        silent = plx.play.silent_profile(market, plx.anonymous(2))
        plx.files.save_profile("profile.npz", silent)  # for `pluraljax certify --profile`
    """
    if len(profile.rounds) > 1:
        raise ValueError(
            f"{path}: profile files hold conversations of one round, got {len(profile.rounds)} rounds; "
            "pluraljax.play.in_one_round tells them as one."
        )
    leaves = {name: getattr(profile, name) for name in _NAMES}
    arrays = {name: np.asarray(leaf) for name, leaf in leaves.items() if leaf is not None}
    _check_policy(Path(path), arrays["policy"])
    write_archive(Path(path), arrays)


@checked(path=some_path)
def load_profile(path: str | os.PathLike[str]) -> Profile:
    """Reads a profile from an `.npz` archive with `policy` and, if wanted, `recommended`, `asked` and `choice`.

    **Arguments:**

    - `path`: the file; pickled objects are refused.

    **Returns:** a `Profile` of probabilities. Raises `OSError` when there is no such file, and `ValueError` with its
    name for anything that is wrong inside, numbers that float64 (choices: int32) does not hold included.

    Example::

        market = plx.families.gaussian(providers=2, users=2)(jax.random.key(0))
        silent = plx.play.silent_profile(market, plx.anonymous(2))
        plx.files.save_profile("profile.npz", silent)
        profile = plx.files.load_profile("profile.npz")
    """
    path = Path(path)
    arrays = read_archive(path, _NAMES, "profile", check=_check_shapes)
    try:
        profile = Profile(**arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    for name, stored in arrays.items():
        check_exact_copy(path, name, stored, np.asarray(getattr(profile, name)))
    _check_policy(path, np.asarray(profile.policy))
    return profile


def _check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `ValueError` where arrays of these shapes are no profile."""
    if "policy" not in shapes:
        raise ValueError(f"there is no array 'policy'; it holds {listed(shapes)}.")
    kinds = {name: np.float32 if name == "policy" else np.int32 for name in shapes}
    jax.eval_shape(lambda arrays: Profile(**arrays), {n: jax.ShapeDtypeStruct(shapes[n], kinds[n]) for n in shapes})


def _check_policy(path: Path, policy: np.ndarray) -> None:
    sums = np.asarray(policy, np.float64).sum(axis=-1)
    if not ((policy >= 0).all() and (np.abs(sums - 1) <= POLICY_SUM_TOLERANCE).all()):
        raise ValueError(f"{path}: 'policy' is not a probability of signals everywhere; rows have to sum to 1.")
