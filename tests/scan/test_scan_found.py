"""A scan that looks for equilibria by play: its config, its columns, and the check of what was found."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import stand_in
from tiny import SIZES, tiny

import pluraljax as plx
from pluraljax._candidates import METHODS as PLAYED
from pluraljax._scan.config._config import ScanConfig
from pluraljax._scan.measure import _found_rows
from pluraljax._scan.measure._columns import FOUND
from pluraljax._scan.measure._conditions_rows import NO, UNDECIDED, YES
from pluraljax._scan.measure._found import Found
from pluraljax._scan.measure._search import METHODS

SEARCH = plx.scans.Search(starts=3, steps=20)


def test_the_config_reads_a_table_and_writes_it_back(tmp_path):
    config = tiny(equilibria=SEARCH)
    (tmp_path / "scan.toml").write_text(config.to_toml())
    assert ScanConfig.from_toml(tmp_path / "scan.toml") == config
    assert ScanConfig.from_mapping(config.to_mapping()) == config
    assert ScanConfig.from_mapping(tiny().to_mapping() | {"equilibria": {"starts": 3, "steps": 20}}) == config
    assert (
        len({tiny(equilibria=each).identity for each in (True, False, SEARCH, plx.scans.Search(starts=4, steps=20))})
        == 4
    )
    assert set(METHODS) == {*PLAYED, "best_response"}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("yes", "true, false or a table"),
        ({"start": 3}, "Did you mean 'starts'"),
        ({"starts": 0}, "whole number of at least 1"),
        ({"steps": True}, "whole number of at least 1"),
        ({"method": "magic"}, "must be one of"),
    ],
)
def test_bad_tables_are_refused(value, wanted):
    with pytest.raises(ValueError, match=wanted):
        ScanConfig.from_mapping(tiny().to_mapping() | {"equilibria": value})


def test_rows_do_not_depend_on_chunks_and_hold_what_was_asked(monkeypatch):
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)
    some = {"markets": 60, "equilibria": SEARCH}
    first = plx.scan(tiny(**some), progress=False)
    again = plx.scan(tiny(**some, chunk=7), progress=False)
    without = plx.scan(tiny(markets=60), progress=False)
    for column in FOUND:
        np.testing.assert_array_equal(first[column.name], again[column.name])
        assert np.isfinite(first[column.name]).all()
        assert np.isnan(without[column.name]).all()
    # Everything else is as it is without; starts are drawn from the market's own key.
    np.testing.assert_array_equal(first.aligned, without.aligned)
    market, key = 31, jr.fold_in(jr.fold_in(jr.key(0, impl="threefry2x32"), 31), 0x504C4159)
    row = stand_in.measure_found(
        plx.families.gaussian(**SIZES, shared=1.0)(jr.fold_in(jr.key(0, impl="threefry2x32"), market)),
        0.0,
        key,
        {"personalized_worst_lower": jnp.asarray(first.personalized_worst_lower[market].values)},
        SEARCH,
    )
    np.testing.assert_allclose(first.personalized_found[market], row["personalized_found"], rtol=1e-6)


def found_at(market, share, verdict=plx.Truth.HOLDS):
    """What a search reports that found one profile, at a share of the way from silent to aligned."""
    marks = plx.benchmarks(market)
    value = np.asarray(marks.silent) + share * (np.asarray(marks.aligned) - np.asarray(marks.silent))
    verdict = jnp.asarray(int(verdict), jnp.int32)
    value, nothing = jnp.asarray(value), jnp.zeros(2)
    profile, gain = plx.play.silent_profile(market, plx.personalized(2)), plx.Bracket(nothing, nothing)
    every = lambda tree: jax.tree.map(lambda leaf: leaf[None], tree)
    found = plx.answers.Equilibria(
        profile=every(profile),
        user_value=every(value),
        provider_value=every(nothing),
        value=every(gain),
        most=every(nothing),
        holds=every(verdict),
        is_first=jnp.array([True]),
        start=jnp.zeros(1, jnp.int32),
    )
    return plx.answers.Equilibrium(
        profile, value, nothing, gain, nothing, verdict, num_certified=jnp.int32(1), found=found, status=jnp.int32(0)
    )


def test_the_check_fails_for_equilibria_below_what_is_proved_or_above_aligned(x64):
    market = plx.families.gaussian(**SIZES)(jr.key(0))
    marks = plx.benchmarks(market)
    proved = {name: marks.silent + 0.5 * (marks.aligned - marks.silent) for name in Found.needs}
    check = lambda *found: _found_rows._rows(market, proved, *found)
    assert int(check(found_at(market, 0.6), found_at(market, 0.7))["found_theorem"]) == YES
    assert int(check(found_at(market, 0.4), found_at(market, 0.7))["found_theorem"]) == NO
    assert int(check(found_at(market, 0.6), found_at(market, 0.4))["found_theorem"]) == NO
    assert int(check(found_at(market, 1.1), found_at(market, 0.7))["found_theorem"]) == NO
    # What is no certified equilibrium is not held against anything.
    refuted = found_at(market, 0.1, plx.Truth.FAILS)
    rows = check(refuted, refuted)
    assert int(rows["found_theorem"]) == UNDECIDED
    assert np.isnan(np.asarray(rows["personalized_found"])).all()
    assert float(rows["personalized_found_share"]) == 0.0
