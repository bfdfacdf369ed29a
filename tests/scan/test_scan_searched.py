"""Scans search the first markets of each cell for the worst equilibrium of one anonymous policy, if told to."""

import jax
import numpy as np
import pytest
import stand_in
from filled import contents
from tiny import tiny

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._market import Market
from pluraljax._scan.config._plan import Block, Shard
from pluraljax._scan.engine import _finish, _run
from pluraljax._scan.engine._batch import Programs
from pluraljax._scan.engine._rehearse import rehearse
from pluraljax._scan.measure import _searched_rows
from pluraljax._scan.measure._columns import EQUILIBRIA, SEARCHED
from pluraljax._scan.measure._conditions_rows import NO, UNDECIDED, YES
from pluraljax._scan.measure._searched import Searched
from pluraljax._scan.store._store import Memory, Store
from pluraljax._worst_shared import WorstEquilibria, _question, worst_equilibria

SMALL = {"users": 2, "actions": 2, "states": 2}
GRID = (plx.scans.FamilyGrid("gaussian", SMALL | {"providers": [1, 2], "shared": 1.0}),)
COUNT, BUDGET = 8, 3
SEARCH = plx.scans.WorstSearch(COUNT, BUDGET)


def searching(search=SEARCH, **more):
    return plx.scans.ScanConfig(**{"grid": GRID, "markets": 40, "chunk": 12, "search": search} | more)


@pytest.fixture
def quick(monkeypatch):
    """A scan whose other programmes cost nothing; the search is the real one."""
    for kind, name, function in stand_in.functions():
        monkeypatch.setattr(kind, name, function)


def test_a_config_holds_the_search(tmp_path):
    config = tiny(search=plx.scans.WorstSearch(10, 5))
    (tmp_path / "scan.toml").write_text(config.to_toml())
    read = plx.scans.ScanConfig.from_toml(tmp_path / "scan.toml")
    assert read == config
    assert read.identity == config.identity
    assert plx.scans.ScanConfig.from_mapping(tiny().to_mapping() | {"search": {"markets": 10, "budget": 5}}) == config
    others = [tiny(), tiny(search=plx.scans.WorstSearch(10, 6)), tiny(search=plx.scans.WorstSearch(11, 5))]
    assert len({config.identity, *(each.identity for each in others)}) == 4
    assert "search" not in tiny().to_mapping()
    assert "search" not in tiny().definition()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (64, "search must be a table such as"),
        (True, "search must be a table such as"),
        ({"market": 3}, "Did you mean 'markets'"),
        ({"markets": 0}, "search.markets must be a whole number from 1 to 4,294,967,296, got 0"),
        ({"budget": True}, "search.budget must be a whole number from 1 to 1,000,000, got True"),
    ],
)
def test_searches_that_make_no_sense_are_refused(value, wanted):
    with pytest.raises(ValueError, match=wanted):
        plx.scans.ScanConfig.from_mapping(tiny().to_mapping() | {"search": value})


def test_a_search_needs_equilibria_and_is_nothing_to_wait_for():
    with pytest.raises(ValueError, match="search needs equilibria = true"):
        searching(equilibria=False)
    with pytest.raises(ValueError, match="first markets of a cell only"):
        searching(until=plx.scans.Until("anonymous_served", most=100))


@pytest.mark.parametrize(("block", "count"), [((0, 5), 5), ((5, 20), 3), ((8, 12), 0), ((30, 31), 0)])
def test_the_first_replicates_are_searched(block, count):
    assert plx.scans.WorstSearch(COUNT).searched(*block) == count


def test_rows_do_not_depend_on_chunks_or_on_who_measures(quick):
    first = plx.scan(searching(), progress=False)
    again = plx.scan(searching(chunk=4), progress=False)
    without = plx.scan(searching(None), progress=False)
    for column in SEARCHED:
        np.testing.assert_array_equal(first[column.name], again[column.name])
        assert np.isnan(without[column.name]).all()
    np.testing.assert_array_equal(first.anonymous_worst_lower, without.anonymous_worst_lower)
    replicate = first.market.values // 2
    found = np.isfinite(first.anonymous_searched_lower.values)
    assert (found == (replicate < COUNT)[:, None]).all()
    # A worker of a cluster finishes its chunks itself.
    config, programs = searching(), Programs(searching(), 4, jax.local_devices())
    programs.prepare([1])
    rows, _ = _finish.finish(config, programs.launch(Block(1, 4, 8)))
    stored = first.where(first.cell == 1, drop=True).isel(market=slice(4, 8))
    np.testing.assert_array_equal(rows["anonymous_searched_upper"], stored.anonymous_searched_upper)
    programs.close()


def test_numbers_are_those_of_one_market_alone(quick):
    rows = plx.scan(searching(), progress=False)
    for number in (0, 5):
        family = plx.families.gaussian(providers=1 + number % 2, shared=1.0, **SMALL)
        with jax.enable_x64(True):
            market = family(jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), number))
        alone = jax.tree.map(lambda leaf: np.asarray(leaf)[None], market)
        found = worst_equilibria(alone, (0, 0), budget=BUDGET, level=1.0 - _searched_rows.SERVED)
        row = rows.sel(market=number)
        np.testing.assert_allclose(row.anonymous_searched_lower, found.lower[0], atol=1e-9)
        np.testing.assert_allclose(row.anonymous_searched_upper, found.upper[0], atol=1e-9)


def batch(count=4, users=2):
    with jax.enable_x64(True):
        family = plx.families.gaussian(providers=2, users=users, actions=2, states=2, shared=1.0)
        drawn = [family(key) for key in jax.random.split(jax.random.key(3), count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def known(markets, **ends):
    shape = markets.mass.shape
    base = {"aligned": 1.0, "silent": 0.0, "payoff_range": 1.0, "anonymous_worst_lower": -9.0}
    base |= {"anonymous_worst_upper": 9.0, "personalized_worst_lower": 1.0, "personalized_worst_upper": 1.0} | ends
    return {name: np.broadcast_to(np.asarray(value, float), shape) for name, value in base.items()}


def test_a_batch_is_a_loop():
    markets = batch()
    found = _searched_rows.measure_searched(markets, 0.0, known(markets), BUDGET)
    for place in range(4):
        alone = jax.tree.map(lambda leaf, place=place: leaf[place : place + 1], markets)
        one = _searched_rows.measure_searched(alone, 0.0, known(alone), BUDGET)
        for name, value in one.items():
            np.testing.assert_array_equal(found[name][place], value[0])
    # A search that is over once it is known whom competition serves: its brackets hold those of the whole search.
    whole = plx.worst_equilibrium(markets, plx.anonymous(2), budget=100)
    lower, upper = np.asarray(whole.value.lower), np.asarray(whole.value.upper)
    assert (found["anonymous_searched_lower"] <= upper + 1e-9).all()
    assert (found["anonymous_searched_upper"] >= lower - 1e-9).all()


def test_markets_too_large_to_search_keep_the_bracket_that_is_known(monkeypatch):
    monkeypatch.setattr(_question, "unsearched", None)  # nothing is computed that a scan knows already
    markets = batch(users=6)
    found = _searched_rows.measure_searched(markets, 0.0, known(markets, anonymous_worst_lower=0.995), BUDGET)
    assert (found["anonymous_searched_lower"] == 0.995).all()
    assert (found["anonymous_searched_upper"] == 9.0).all()
    assert (found["anonymous_served"] == YES).all()


def test_events_say_whom_competition_serves(monkeypatch):
    lower = [[1.0, 0.99], [1.0, 0.98], [1.0, 0.5], [np.nan, np.nan]]
    upper = [[1.0, 1.00], [1.0, 1.00], [1.0, 0.9], [np.nan, np.nan]]
    blank = np.zeros((4, 2), int)
    answer = WorstEquilibria(np.array(lower), np.array(upper), blank, blank, blank, *np.zeros((2, len(lower)), bool))
    monkeypatch.setattr(_searched_rows, "worst_equilibria", lambda *_, **__: answer)
    personalized = {"personalized_worst_lower": lower[::-1], "personalized_worst_upper": upper[::-1]}
    rows = _searched_rows.measure_searched(batch(), 0.0, known(batch(), **personalized), BUDGET)
    expected = [YES, UNDECIDED, NO, UNDECIDED]
    assert rows["personalized_served"].tolist() == expected[::-1]
    # An unknown bracket is as wide as the one without a search.
    assert rows["anonymous_served"].tolist() == expected
    closed = known(batch(), anonymous_worst_lower=0.995, anonymous_worst_upper=1.0)
    rows = _searched_rows.measure_searched(batch(), 0.0, closed, BUDGET)
    # Where the two contradict each other nothing is decided.
    assert rows["anonymous_served"].tolist()[1:3] == [YES, UNDECIDED]


def test_what_is_not_a_market_is_undecided():
    markets = batch()
    broken = Market.__new__(Market)
    for name in ("prior", "user_value", "provider_value", "mass"):
        object.__setattr__(broken, name, np.array(getattr(markets, name)))
    broken.user_value[0, 0, 0, 0] = np.nan
    rows = _searched_rows.measure_searched(broken, 0.0, known(broken), BUDGET)
    assert np.isnan(rows["anonymous_searched_lower"][0]).all()
    assert np.isfinite(rows["anonymous_searched_lower"][1]).all()
    assert rows["anonymous_served"][0] == UNDECIDED


def test_a_search_stops_between_two_steps():
    markets, asked = batch(), []

    def stopped():
        asked.append(None)
        return len(asked) > 1

    with pytest.raises(_searched_rows.Stopped):
        _searched_rows.measure_searched(markets, 0.0, known(markets), 300, stopped)
    assert len(asked) == 2


def test_what_goes_wrong_in_a_search_is_raised(quick, monkeypatch):
    def broken(*_):
        raise ArithmeticError("a search went wrong")

    monkeypatch.setattr(_searched_rows, "measure_searched", broken)
    with pytest.raises(ArithmeticError, match="a search went wrong"):
        plx.scan(searching(), progress=False)


def test_interrupted_and_merged_scans_end_with_the_same_files(quick, tmp_path, monkeypatch):
    rows = lambda name: contents(tmp_path / name / "rows")
    plx.scan(searching(), tmp_path / "whole", progress=False)
    write, written = Store.write, []

    def killed(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(Store, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        plx.scan(searching(), tmp_path / "killed", progress=False)
    monkeypatch.setattr(Store, "write", write)
    assert len(rows("killed")) == 2
    plx.scan(searching(), tmp_path / "killed", progress=False)
    assert rows("killed") == rows("whole")
    for number in (1, 2):
        with Store(tmp_path / f"{number}", searching()) as store:
            _run.run(searching(), store, shard=Shard(number, 2))
    parts = [str(tmp_path / f"{number}") for number in (1, 2)]
    assert main(["merge", *parts, "--out", str(tmp_path / "merged")]) == 0
    assert rows("merged") == rows("whole")


def test_the_time_of_the_search_is_told(quick):
    summary = _run.run(searching(), Memory(searching()))
    assert summary.searched == 2 * COUNT
    assert summary.seconds_searching > 0


def test_a_rehearsal_tells_what_searching_takes(quick, tmp_path):
    told = rehearse(searching(), tmp_path / "out")
    assert told.plan.to_search == 2 * COUNT
    assert told.seconds_measuring >= told.seconds_searching > 0
    assert "to search: 16 markets, which keeps one core busy for" in str(told)
    assert "to search" not in str(rehearse(searching(None), tmp_path / "out"))


def test_what_nobody_searched_is_undefined():
    rows = Searched.undefined((3, 2))
    assert rows.keys() == {column.name for column in SEARCHED}
    assert np.isnan(rows["anonymous_searched_lower"]).all()
    assert (rows["anonymous_served"] == UNDECIDED).all()
    assert {column.name for column in EQUILIBRIA} & set(Searched.needs)
