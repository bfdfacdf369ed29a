"""Configs: strict about names and values, and the same after a round trip."""

import pickle

import jax
import numpy as np
import pytest
from tiny import tiny

from pluraljax._scan import FamilyGrid, ScanConfig, default_config
from pluraljax._scan.config._definition import differences
from pluraljax._scan.engine._layout import Layout

GOOD = """
seed = 3
markets = 100
delta = 0.01
chunk = 50

[[grid]]
family = "gaussian"
providers = [1, 2, 3]
shared = [0.0, 0.5]

[[grid]]
family = "opposed"
providers = 2
users = 2
scales = [[[1.0, -2.0], [-2.0, 1.0]]]
common_decision = true
"""


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_cells(tmp_path):
    config = ScanConfig.from_toml(write(tmp_path, GOOD))
    assert (config.seed, config.markets, config.delta, config.chunk) == (3, 100, 0.01, 50)
    points = [(cell.parameters["providers"], cell.parameters.get("shared")) for cell in config.cells]
    assert points == [(1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5), (3, 0.0), (3, 0.5), (2, None)]
    assert config.cells[6].parameters["scales"] == [[1.0, -2.0], [-2.0, 1.0]]
    # Parameters that were left out are there with their defaults.
    assert config.cells[0].parameters["idiosyncratic"] == 1.0


@pytest.mark.parametrize("make", [default_config, tiny])
def test_round_trip(tmp_path, make):
    config = make()
    again = ScanConfig.from_toml(write(tmp_path, config.to_toml()))
    assert again == config
    assert hash(again) == hash(config)
    assert again.identity == config.identity
    assert ScanConfig.from_mapping(config.to_mapping()) == config
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("markets = 100", "market = 100", "unknown key 'market'. Did you mean 'markets'?"),
        ("markets = 100", "markets = 0", "markets must be a whole number from 1 to"),
        ("markets = 100", "markets = 1e3", "markets must be a whole number"),
        ("seed = 3", "seed = -1", "seed must be a whole number from 0 to"),
        ("seed = 3", "seed = true", "seed must be a whole number"),
        ("delta = 0.01", "delta = -1", "delta must be finite and not negative, got -1"),
        ("delta = 0.01", "delta = nan", "delta must be finite"),
        ("delta = 0.01", 'delta = "small"', "delta must be a number, got 'small'"),
        ("chunk = 50", "chunk = 0", "chunk must be a whole number from 1 to"),
        ("chunk = 50", 'chunk = "large"', "or \"auto\", got 'large'"),
        ("chunk = 50", "memory = 0", "memory must be a whole number from 1 to"),
        ("chunk = 50", "chunk = ", "is not valid TOML"),
        ('"gaussian"', '"gausian"', "Did you mean 'gaussian'?"),
        ('"gaussian"', "7", "family must be a name, got 7"),
        ('family = "gaussian"', 'familly = "gaussian"', "[[grid]] table 1 has no family (its key 'familly': did you"),
        ("shared", "sharred", "Did you mean 'shared'?"),
        ("[1, 2, 3]", "[1, 0]", "providers must be a whole number of at least 1"),
        ("[1, 2, 3]", "[]", "gaussian.providers is an empty list"),
        ("[1, 2, 3]", "[1, 2, 1]", "the same cell twice"),
        ("[[[1.0, -2.0], [-2.0, 1.0]]]", "[[1.0, -2.0], [-2.0, 1.0]]", "in one more list"),
    ],
)
def test_an_error_names_file_key_and_remedy(tmp_path, old, new, wanted):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        ScanConfig.from_toml(path)
    assert wanted in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.toml: there is no such file"):
        ScanConfig.from_toml(tmp_path / "missing.toml")
    with pytest.raises(ValueError, match=r"at least one \[\[grid\]\] table"):
        ScanConfig.from_toml(write(tmp_path, "seed = 1\n"))
    with pytest.raises(ValueError, match="grid holds tables"):
        ScanConfig.from_mapping({"grid": ["gaussian"]})


def test_identity_covers_what_defines_rows_and_nothing_else():
    config = tiny()
    same = [tiny(markets=7), tiny(chunk=3), tiny(chunk="auto", memory=7), tiny(delta=0)]
    spelled = ScanConfig(grid=(FamilyGrid("gaussian", {"shared": 0}), FamilyGrid("opposed")))
    defaults = ScanConfig(grid=(FamilyGrid("gaussian", {"idiosyncratic": 1}), FamilyGrid("opposed", {"users": 2})))
    assert {each.identity for each in same} == {config.identity}
    assert spelled.identity == defaults.identity
    others = [tiny(seed=1), tiny(delta=0.1), tiny(grid=config.grid[:1]), tiny(grid=config.grid[::-1])]
    assert len({each.identity for each in [config, *others]}) == 5


def test_chunks_follow_from_memory_and_from_what_cells_hold():
    rows = lambda **changes: tiny(**{"chunk": "auto", "markets": 3 * 10**6} | changes).rows_per_chunk
    assert tiny(chunk=50).rows_per_chunk == 50
    assert rows() == 2048
    # A cell of 400 / 3 markets fills no more than one of 256.
    assert rows(markets=400) == 256
    assert rows(markets=1) == 32
    few, many = rows(memory=1), rows(memory=2)
    assert 32 < few < 2048
    assert many == 2 * few
    large = {"providers": 8, "users": 8, "actions": 10, "states": 10}
    assert rows(grid=(FamilyGrid("gaussian", large),)) < rows()
    # The market of a plane has the payoffs of 9 actions and 9 states.
    plane, line = (FamilyGrid("spatial", {"dimension": d, "providers": 8, "users": 8}) for d in (2, 1))
    assert rows(grid=(plane,), memory=16) < rows(grid=(line,), memory=16)
    assert default_config().rows_per_chunk == 512


def test_programmes_do_not_depend_on_how_many_markets_there_are():
    configs = [tiny(chunk="auto", markets=markets) for markets in (1, 50, 400, 10**6)]
    assert {config.room for config in configs} == {2048}
    devices = jax.local_devices()[:2]
    layouts = [Layout.of(config.rows_per_chunk, devices, config.room) for config in configs]
    assert len({(each.tile, each.tiles, each.devices) for each in layouts}) == 1
    # What a folder keeps is a number: a scan that goes on has the programmes that it began with.
    stored = configs[1].replace(chunk=configs[1].rows_per_chunk)
    assert Layout.of(stored.rows_per_chunk, devices, stored.room) == layouts[0]
    padded, counts, places = layouts[0].deal(np.arange(50))
    assert (len(padded), counts.tolist()) == (2048, [1, 1])
    assert padded[places].tolist() == list(range(50))


def test_differences_name_the_keys():
    config = tiny()
    assert differences(config.definition(), tiny(markets=9).definition()) == []
    phrases = differences(config.definition(), tiny(seed=4, delta=0.5).definition())
    assert phrases == ["delta (0.0 there, 0.5 here)", "seed (0 there, 4 here)"]
    other = tiny(grid=(FamilyGrid("gaussian", {**config.grid[0].parameters, "shared": [0.0, 2.0]}), config.grid[1]))
    assert differences(config.definition(), other.definition()) == [
        "grid (gaussian.shared of cell 1 is 1.0 there, 2.0 here)"
    ]
    assert differences(config.definition(), tiny(grid=config.grid[:1]).definition()) == ["grid (3 cells there, 2 here)"]


def test_the_default_scan_covers_what_it_promises():
    config = default_config()
    assert config.markets >= 20_000
    assert {cell.family for cell in config.cells} == {"spatial", "gaussian", "opposed", "conic"}
    for family in ("spatial", "gaussian", "opposed", "conic"):
        providers = {cell.parameters["providers"] for cell in config.cells if cell.family == family}
        assert providers == set(range(1, 9))
    assert {cell.parameters["shared"] for cell in config.cells if cell.family == "gaussian"} == {0.0, 1.0}
