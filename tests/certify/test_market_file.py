"""Market files: what is written is read back exactly, what is wrong is named with its path, nothing is overwritten."""

import numpy as np
import pytest

import pluraljax as plx


def arrays(seed=0, users=2, providers=3, types=2, evidences=2, states=3, actions=2):
    generator = np.random.default_rng(seed)
    cells = types * evidences * states
    return {
        "prior": generator.dirichlet(np.ones(cells), size=users).reshape(users, types, evidences, states),
        "user_value": generator.normal(size=(users, actions, states)),
        "provider_value": generator.normal(size=(providers, users, actions, states)),
        "mass": generator.uniform(1.0, 2.0, size=users),
    }


def write(path, **changes):
    """Writes arrays with some replaced, or left out where None."""
    np.savez(path, **{name: leaf for name, leaf in (arrays() | changes).items() if leaf is not None})
    return path


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_market_comes_back_exactly(tmp_path, dtype):
    market = plx.Market(**{name: leaf.astype(dtype) for name, leaf in arrays().items()})
    plx.save_market(tmp_path / "market.npz", market)
    back = plx.load_market(tmp_path / "market.npz")
    for name in arrays():
        np.testing.assert_array_equal(getattr(back, name), getattr(market, name))
        assert getattr(back, name).dtype == dtype


def test_the_short_form_is_that_of_observed_market(tmp_path):
    given = arrays()
    prior = np.array([0.5, 0.25, 0.25])
    for name, short in (
        ("none", {}),
        ("common", {"prior": prior}),
        ("own", {"prior": np.stack([prior, prior[::-1]]), "mass": given["mass"]}),
    ):
        path = write(tmp_path / f"{name}.npz", **({"prior": None, "mass": None} | short))
        market = plx.load_market(path)
        wanted = plx.observed_market(given["user_value"], given["provider_value"], **short)
        np.testing.assert_array_equal(market.prior, wanted.prior)
        np.testing.assert_array_equal(market.mass, wanted.mass)


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "market.npz"
    plx.save_market(path, plx.Market(**arrays()))
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"market\.npz exists already"):
        plx.save_market(path, plx.Market(**arrays(seed=1)))
    assert path.read_bytes() == before


def test_a_market_that_makes_no_sense_is_not_written(tmp_path):
    given = arrays()
    given["mass"][0] = np.nan
    with pytest.raises(ValueError, match="'mass' holds NaN"):
        plx.save_market(tmp_path / "market.npz", plx.Market(**given))
    assert list(tmp_path.iterdir()) == []


def broken():
    given = arrays()
    with_nan = given["user_value"].copy()
    with_nan[0, 0, 0] = np.nan
    negative = given["prior"].copy()
    negative[0, 0, 0, 0] -= 1.0
    negative[0, 0, 0, 1] += 1.0
    return {
        "no user_value": ({"user_value": None}, "no array 'user_value'; it holds 'mass', 'prior', 'provider_value'"),
        "no provider_value": ({"provider_value": None}, "no array 'provider_value'"),
        "no mass": ({"mass": None}, "no array 'mass'"),
        "a misspelt array": ({"prior": None, "pior": given["prior"]}, "'pior', which a market does not have"),
        "wrong axes": ({"user_value": given["user_value"][0]}, "needs 3 non-empty axes"),
        "axes that disagree": ({"user_value": given["user_value"][:, :, :2]}, "axes disagree"),
        "a short prior of the wrong length": ({"prior": np.ones(2) / 2}, "prior must be"),
        "NaN": ({"user_value": with_nan}, "'user_value' holds NaN"),
        "infinity": ({"mass": np.array([np.inf, 1.0])}, "'mass' holds NaN or infinity"),
        "a negative prior": ({"prior": negative}, "'prior' has a negative entry"),
        "a prior of another sum": ({"prior": given["prior"] * 1.01}, "'prior' of user 0 sums to 1.01"),
        "no people": ({"mass": np.array([1.0, 0.0])}, "not positive"),
        "words": ({"mass": np.array(["a", "b"])}, "instead of real numbers"),
        "objects": ({"mass": np.array([1.0, None], object)}, "not an .npz archive of a market"),
    }


@pytest.mark.parametrize("name", broken())
def test_a_broken_file_is_named_with_what_is_wrong(name, tmp_path):
    changes, message = broken()[name]
    path = write(tmp_path / "broken.npz", **changes)
    with pytest.raises(ValueError, match=r"broken\.npz") as caught:
        plx.load_market(path)
    assert message in str(caught.value)


def test_other_files_are_named_too(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.npz: there is no such file"):
        plx.load_market(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("not a zip archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", np.ones(3))
    whole = write(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    for file in ("text.npz", "empty.npz", "single.npy", "half.npz"):
        with pytest.raises(ValueError, match=r"is not an \.npz archive of a market") as caught:
            plx.load_market(tmp_path / file)
        assert file in str(caught.value)
    with pytest.raises((OSError, ValueError), match=str(tmp_path)):
        plx.load_market(tmp_path)


WIDE = np.longdouble(1) / 3
INEXACT = {
    "a large integer": (np.array([2**53 + 1, 1]), "9007199254740993 at [0] as int64"),
    "a wide float": (np.array([WIDE, 1], np.longdouble), "at [0] as"),
}


@pytest.mark.parametrize("name", INEXACT)
def test_numbers_that_float64_does_not_hold_are_refused(name, tmp_path):
    """2**53 + 1 would be read as 2**53, and a proof would be about another market than the file holds."""
    mass, message = INEXACT[name]
    if float(mass[0]) == mass[0] and mass.dtype.kind == "f":
        pytest.skip("longdouble is float64 here")
    path = write(tmp_path / "market.npz", mass=mass)
    with pytest.raises(ValueError, match=r"market\.npz: 'mass' holds") as caught:
        plx.load_market(path)
    assert message in str(caught.value)


def test_integers_and_small_floats_are_read_exactly(tmp_path):
    """A prior in float32 may hold numbers that a compiled program would flush to 0."""
    prior = np.array([1, 1e-40, 0], np.float32)
    user = np.random.default_rng(0).integers(-(2**53), 2**53, size=(2, 2, 3))
    path = write(tmp_path / "market.npz", prior=prior, user_value=user)
    market = plx.load_market(path)
    assert np.asarray(market.prior)[0, 0, 1, 1] == prior[1] > 0
    np.testing.assert_array_equal(np.asarray(market.user_value).astype(int), user)


def test_choices_of_a_profile_are_read_exactly(tmp_path):
    """2**32 would come out as provider 0."""
    policy = np.full((1, 1, 2, 1, 2), 0.5)
    np.savez(tmp_path / "profile.npz", policy=policy, choice=np.array([2**32]))
    with pytest.raises(ValueError, match=r"profile\.npz: 'choice' holds 4294967296 at \[0\]"):
        plx.files.load_profile(tmp_path / "profile.npz")
