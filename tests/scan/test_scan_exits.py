"""Scans ask about exits where their config says so, and about the providers as they are."""

import jax
import numpy as np
import pytest
import stand_in
from tiny import tiny

import pluraljax as plx
from pluraljax._scan.measure._columns import ROBUST
from pluraljax._scan.measure._conditions import Conditions
from pluraljax._scan.measure._robust import Robust

ASKED = {"removed": [0, 1]}


def asking(robust, **more):
    """The smallest scan, with an entry `robust` as a file holds it."""
    return plx.scans.ScanConfig.from_mapping(tiny().to_mapping() | {"robust": robust} | more)


def test_a_config_holds_the_exits(tmp_path):
    config = asking(ASKED)
    assert config.robust == plx.scans.Exits((0, 1))
    path = tmp_path / "scan.toml"
    path.write_text(config.to_toml())
    read = plx.scans.ScanConfig.from_toml(path)
    assert read == config
    assert read.identity == config.identity
    others = [tiny(), asking({"removed": [1]})]
    assert config.identity not in {each.identity for each in others}
    assert "robust" not in tiny().to_mapping()
    assert "robust" not in tiny().definition()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (2, "robust must be a table such as"),
        ({"remove": [1]}, "robust must be a table such as"),
        ({"removed": [1], "by": 2}, "by"),
        ({"removed": []}, "at least one"),
        ({"removed": [-1]}, "from 0 to 64"),
        ({"removed": [True]}, "from 0 to 64"),
        ({"removed": 1}, "from 0 to 64"),
    ],
)
def test_exits_that_make_no_sense_are_refused(value, wanted):
    with pytest.raises(ValueError, match=wanted):
        asking(value)


def test_too_many_removals_are_refused():
    grid = (plx.scans.FamilyGrid("gaussian", {"providers": 30}),)
    with pytest.raises(ValueError, match="makes 4,060 sets of 30 providers"):
        plx.scans.ScanConfig(grid=grid, robust=plx.scans.Exits((3,)))


def test_a_stop_needs_what_it_waits_for():
    until = {"event": "robustly_covered", "half_width": 0.1}
    assert asking(ASKED, until=until).until is not None
    with pytest.raises(ValueError, match="which needs robust"):
        tiny(until=plx.scans.Until(**until))


def test_what_nobody_asked_for_is_undefined():
    rows = Robust.undefined((3, 2))
    assert rows.keys() == {column.name for column in ROBUST}
    assert np.isnan(rows["robustly_aligned_error"]).all()
    assert (rows["robustly_aligned"] == -1).all()


@pytest.mark.slow
def test_a_scan_measures_the_providers_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(Conditions, "measure", stand_in.as_conditions)  # not asked about here, and takes long
    sizes = {"users": 1, "user_spread": 0.0, "dimension": 1}
    grid = (plx.scans.FamilyGrid("spatial", sizes | {"providers": [3, 5]}),)
    config = plx.scans.ScanConfig(grid=grid, markets=60, equilibria=False, robust=plx.scans.Exits((0, 1)), chunk=32)
    found = plx.scan(config, tmp_path / "scan", progress=False)
    exits = np.asarray(found["robustly_aligned_exits"])[:, 0]
    events = np.asarray(found["robustly_aligned"])
    for row, (market, providers) in enumerate(zip(found["market"].values, found["providers"].values, strict=True)):
        family = plx.families.spatial(providers=int(providers), **sizes)
        with jax.enable_x64(True):
            key = jax.random.fold_in(jax.random.key(config.seed, impl="threefry2x32"), np.uint32(market))
            # Draws inside of a scan are compiled in one piece; the points are those of the family all the same.
            drawn = family(key)
        value = np.asarray(drawn.provider_value)[:, 0]
        # The payoff of action 0 tells on which side of the user a provider stands.
        side = np.sign(value[:, 0, 1] - value[:, 2, 1])
        fewest = min((side > 0).sum(), (side < 0).sum())
        assert exits[row] == min(fewest - 1, 1)
        assert events[row] == (fewest > 1)
    assert {-1.0, 0.0, 1.0} <= set(exits.tolist())
