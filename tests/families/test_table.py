"""The `table` family: files in, markets out, and nothing wrong with a file that goes unnoticed."""

import csv

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pluraljax as plx
from pluraljax._families import make_family
from pluraljax._families._table_core import load
from pluraljax._precision import in_float64

KEYS = jr.split(jr.key(11), 5)
SIZES = {"users": 2, "providers": 3, "actions": 2, "states": 3}


def ratings(raters=9, items=8, missing=0.25, seed=0):
    """Ratings that are all different, so that an entry of a market says where it came from."""
    rng = np.random.default_rng(seed)
    values = 1.0 + rng.permutation(raters * items).reshape(raters, items) / 16
    values[rng.random(values.shape) < missing] = np.nan
    values[np.arange(raters), np.arange(raters) % items] = 2.5  # no empty row, no empty column
    return values


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def long_rows(values, rater, shuffle=True):
    at = np.argwhere(~np.isnan(values))
    at = np.random.default_rng(1).permutation(at) if shuffle else at
    return [[f"{rater}{j}", f"i{a}", repr(float(values[j, a]))] for j, a in at]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A full table `[user item]`, and the family that draws from it."""
    path = tmp_path_factory.mktemp("full") / "full.npz"
    values = ratings(missing=0.0)
    np.savez(path, ratings=values)
    return values, plx.families.table(path, **SIZES, group=2)


def places(values, entries):
    """Where in a table each of some entries is; 2.5 appears in many places."""
    rows, columns = np.empty(entries.shape, int), np.empty(entries.shape, int)
    for at, entry in np.ndenumerate(entries):
        (where,) = np.argwhere(values == entry)
        rows[at], columns[at] = where
    return rows, columns


def test_a_market_is_made_of_the_table(full):
    values, family = full
    for key in KEYS:
        market = family(key)
        assert market.provider_value.shape == (3, 2, 2, 3)
        assert market.user_value.dtype == np.float64
        np.testing.assert_array_equal(market.mass, 0.5)
        np.testing.assert_allclose(np.asarray(market.prior).sum(axis=(1, 2, 3)), 1.0)
        # Providers do not tell users apart, and their payoffs are averages of two raters' entries.
        provider_value = np.asarray(market.provider_value)
        np.testing.assert_array_equal(provider_value[:, 0], provider_value[:, 1])
    assert np.isin(np.asarray(market.user_value), values).all()


def test_users_items_and_groups_are_drawn_without_replacement(tmp_path):
    values = np.arange(9 * 8, dtype=float).reshape(9, 8)
    np.savez(tmp_path / "t.npz", ratings=values)
    family = plx.families.table(tmp_path / "t.npz", **SIZES, group=2)
    seen = set()
    for key in KEYS:
        market = family(key)
        users, items = places(values, np.asarray(market.user_value))
        assert (users == users[:, :1, :1]).all()
        assert len(set(users[:, 0, 0])) == 2
        # Six different items on three slates of two, the same for both users.
        assert len(set(items[0].ravel())) == 6
        assert (items[0] == items[1]).all()
        # The mean of two rows of this table is (r1 + r2) / 2 * 8 + item.
        both = (np.asarray(market.provider_value)[:, 0] - items[0]) / 4
        members = {tuple(each) for each in both.reshape(3, -1).round(9)}
        assert len(members) == 3
        assert all(len(set(each)) == 1 for each in members)
        # Nine raters: two users and six raters behind providers leave one out, whoever it is.
        left_out = 36 - users[:, 0, 0].sum() - both[:, 0, 0].sum()
        assert 0 <= left_out <= 8
        assert left_out not in users[:, 0, 0]
        seen.add((tuple(users[:, 0, 0]), tuple(items[0].ravel())))
    assert len(seen) == len(KEYS)


def test_more_providers_leave_users_items_and_earlier_providers_alone(full):
    _, family = full
    fewer = plx.families.table(family.path, **SIZES | {"providers": 2}, group=2)
    wide, narrow = family(KEYS[0]), fewer(KEYS[0])
    np.testing.assert_array_equal(wide.user_value, narrow.user_value)
    np.testing.assert_array_equal(wide.provider_value[:2], narrow.provider_value)


def test_the_same_key_gives_the_same_bits_in_any_batch_and_precision(full):
    _, family = full
    one_by_one = jax.tree.map(lambda *rows: np.stack(rows), *[family(key) for key in KEYS])

    @in_float64
    def study(key):
        market = family(key)
        return market, jnp.square(market.user_value).sum()

    def same(market, expected):
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, market), expected)

    same(jax.jit(jax.vmap(study))(KEYS[:3])[0], jax.tree.map(lambda leaf: leaf[:3], one_by_one))
    with jax.enable_x64(True):
        same(family(KEYS[4]), jax.tree.map(lambda leaf: leaf[4], one_by_one))
    assert len(np.unique(one_by_one.user_value[:, 0, 0, 0])) > 1


def test_every_layout_of_one_table_gives_the_same_counts_and_values(tmp_path):
    values = ratings()
    np.savez(tmp_path / "t.npz", ratings=values)
    rows = long_rows(values, "u")
    long = write_csv(tmp_path / "long.csv", ["user", "item", "rating"], rows)
    columns = {
        "item": [row[1] for row in rows],
        "rating": [float(row[2]) for row in rows],
        "user": [row[0] for row in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "long.parquet")
    cells = [[f"u{j}", *("" if np.isnan(x) else repr(float(x)) for x in row)] for j, row in enumerate(values)]
    wide = write_csv(tmp_path / "wide.csv", ["user", *(f"i{a}" for a in range(8))], cells)
    families = [plx.families.table(p, **SIZES) for p in (tmp_path / "t.npz", long, tmp_path / "long.parquet", wide)]
    assert {family.counts for family in families} == {families[0].counts}
    assert families[0].counts.missing == np.isnan(values).sum() > 0
    # Names are listed as a file brings them, so equal keys only mean equal markets where the order is the same.
    npz, csv_long, parquet, csv_wide = (load(family).ratings for family in families)
    np.testing.assert_array_equal(csv_wide, npz)
    np.testing.assert_array_equal(csv_long, parquet)
    assert (csv_long != npz).any()
    # Fits differ in the last digits, because sums run in another order.
    np.testing.assert_allclose(np.sort(csv_long.ravel()), np.sort(npz.ravel()), rtol=1e-9)


def test_missing_entries_are_filled_by_the_additive_fit_and_counted(tmp_path):
    rng = np.random.default_rng(3)
    truth = 3.0 + rng.normal(0, 0.3, (9, 1)) + rng.normal(0, 0.3, (1, 8))
    holes = rng.random(truth.shape) < 0.3
    holes[truth.argmax() // 8, truth.argmax() % 8] = holes[truth.argmin() // 8, truth.argmin() % 8] = False
    np.savez(tmp_path / "t.npz", ratings=np.where(holes, np.nan, truth))
    family = plx.families.table(tmp_path / "t.npz", **SIZES)
    assert family.counts.missing == holes.sum()
    assert family.counts.entries == 72
    # An additive table is recovered exactly, holes and all.
    np.testing.assert_allclose(load(family).ratings[:, :, 0], truth, atol=1e-9)
    filled = np.asarray(jax.vmap(family.filled)(KEYS))
    assert (filled >= 0).all()
    assert (filled <= [2 * 6, 3 * 6]).all()
    assert abs(filled.sum() / (len(KEYS) * 30) - holes.mean()) < 0.25
    with pytest.raises(ValueError, match=r't\.npz: \d+ of 72 ratings are missing, and missing="refuse"'):
        plx.families.table(tmp_path / "t.npz", **SIZES, missing="refuse")


def test_a_fill_stays_within_the_range_of_the_file(tmp_path):
    values = np.array([[5.0, 5.0, np.nan], [1.0, 1.0, 5.0], [1.0, 1.0, 4.0]])
    np.savez(tmp_path / "t.npz", ratings=values)
    family = plx.families.table(tmp_path / "t.npz", users=2, providers=1, actions=3, states=1)
    # Unclipped, the fit would put about 8.5 there.
    assert load(family).ratings.max() == load(family).ratings[0, 2, 0] == 5.0


def test_rare_raters_and_items_are_dropped_until_the_rest_is_dense(tmp_path):
    values = ratings(9, 8, missing=0.0)
    values[7:, 1:] = np.nan
    values[1:, 7] = np.nan
    np.savez(tmp_path / "t.npz", ratings=values)
    family = plx.families.table(tmp_path / "t.npz", **SIZES, least_share=1.0)
    counts = family.counts
    assert (counts.raters, counts.items, counts.missing) == (7, 7, 0)
    assert (counts.dropped_raters, counts.dropped_items) == (2, 1)
    np.testing.assert_array_equal(load(family).ratings[:, :, 0], values[:7, :7])


def test_contexts_are_states_and_items_stay_the_same(tmp_path):
    values = np.arange(6 * 4 * 5, dtype=float).reshape(6, 4, 5)
    np.savez(tmp_path / "t.npz", ratings=values, scores=values[:4, :, :] + 1000)
    family = plx.families.table(tmp_path / "t.npz", **SIZES)
    assert (family.counts.contexts, family.counts.providers) == (5, 4)
    market = family(KEYS[0])
    rest, context = np.divmod(np.asarray(market.user_value), 5)
    user, item = np.divmod(rest, 4)
    assert (user == user[:, :1, :1]).all()
    assert (item == item[:1, :, :1]).all()
    assert (context == context[:1, :1, :]).all()
    assert len(set(context[0, 0])) == 3
    # Providers look at the same items in the same contexts.
    scores = np.asarray(market.provider_value)[:, 0] - 1000
    np.testing.assert_array_equal(scores % 20, np.broadcast_to((item * 5 + context)[0], scores.shape))
    assert len(set(scores[:, 0, 0])) == 3
    # Raters as providers, where there are scores, have to be asked for; so does the reverse.
    assert plx.families.table(tmp_path / "t.npz", **SIZES, source="raters").counts.providers == 0


def test_scores_of_their_own_file_are_matched_by_item(tmp_path):
    values = ratings()
    rated = write_csv(tmp_path / "r.csv", ["user", "item", "rating"], long_rows(values, "u"))
    # Scored in another order, one item unknown to the users, two of theirs not scored.
    rows = [[f"p{i}", f"i{a}", 10 * i + a] for i in range(4) for a in (9, 5, 4, 3, 2, 1, 0)]
    scored = write_csv(tmp_path / "s.csv", ["provider", "item", "score"], rows)
    family = plx.families.table(rated, scores=scored, **SIZES)
    assert (family.counts.items, family.counts.dropped_items, family.counts.providers) == (6, 2, 4)
    market = family(KEYS[0])
    items = np.asarray(market.provider_value)[:, 0] % 10
    assert set(items.ravel()) <= set(range(6))
    known = ~np.isnan(values)
    for (_, a, y), value in np.ndenumerate(np.asarray(market.user_value)):
        column = values[:, int(items[0, a, y])]
        assert value in column[known[:, int(items[0, a, y])]] or np.isnan(column).any()


LONG, WIDE = ["user", "item", "rating"], ["user", "x", "y"]
GOOD = [["ann", "x", "3"], ["ann", "y", "4"], ["bob", "x", "1"], ["bob", "y", ""]]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (LONG, [*GOOD, ["bob", "x", "2"]], "line 6: a second rating for user 'bob', item 'x'"),
        (LONG, [*GOOD, ["eve", "x", "many"]], "line 6: rating must be a finite number or empty, got 'many'"),
        (LONG, [["ann", "x", "inf"]], "line 2: rating must be a finite number or empty, got 'inf'"),
        (LONG, [["", "x", "3"]], "line 2: no user"),
        (LONG, [["ann", "x"]], "line 2: 2 entries under 3 columns"),
        (LONG, [], "holds no rating at all"),
        (["user", "film", "stars"], [["ann", "x", "3"]], "line 2: film must be a finite number or empty, got 'x'"),
        (["who", "item", "rating"], GOOD, "needs the columns 'user', 'item', 'rating'"),
        (["user", "item", "item", "rating"], [], "its columns 'item' appear twice"),
        (WIDE, [["ann", "1", "2"], ["ann", "2", "3"]], "line 3: user 'ann' appears a second time"),
        (WIDE, [["ann", "", "NA"]], "line 2: no number at all for user 'ann'"),
        (WIDE, [["ann", "1", ""]], "no number at all for item 'y'"),
        (WIDE, [], "has no rows under its header"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named_with_its_row(tmp_path, header, rows, message):
    path = write_csv(tmp_path / "bad.csv", header, rows)
    with pytest.raises(ValueError, match=message) as caught:
        plx.families.table(path, users=1, providers=1, actions=2, states=1)
    assert str(path) in str(caught.value)


def test_what_is_wrong_in_other_files_is_named(tmp_path):
    small = {"users": 1, "providers": 1, "actions": 2, "states": 1}
    (tmp_path / "p.parquet").write_bytes(b"PAR1 but not really")
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["x", "x"], "rating": [1.0, None]}), tmp_path / "q.parquet")
    pq.write_table(pa.table({"user": ["a", None], "item": ["x", "x"], "rating": [1.0, 2.0]}), tmp_path / "r.parquet")
    np.savez(tmp_path / "e.npz", ratings=np.array([[1.0, 2.0], [np.nan, np.nan]]))
    np.savez(tmp_path / "f.npz", ratings=np.array([[1.0, np.inf]]))
    np.savez(tmp_path / "g.npz", scores=np.ones((2, 2)))
    np.savez(tmp_path / "h.npz", ratings=np.ones(4))
    (tmp_path / "latin.csv").write_bytes(b"user,item,rating\nann,caf\xe9,3\n")
    (tmp_path / "quote.csv").write_text('user,item,rating\nann,x,3\nann,"y" z,3\n')
    for name, message in {
        "p.parquet": "is not a Parquet file",
        "q.parquet": r"has 1 raters, but a market needs 2",
        "r.parquet": "row 2: no user",
        "e.npz": "'ratings' has no number at all for user 1",
        "f.npz": "'ratings' holds infinity",
        "g.npz": "has no array 'ratings'",
        "h.npz": r"must be \[user item\] or \[user item context\]",
        "latin.csv": "line 2: not in UTF-8",
        "quote.csv": "line 3: not CSV",
        "gone.csv": "cannot be read",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            plx.families.table(tmp_path / name, **small)
        assert str(tmp_path / name) in str(caught.value)


def test_sizes_and_sources_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", ratings=ratings())
    np.savez(tmp_path / "both.npz", ratings=ratings(), scores=ratings(4))
    path, both = tmp_path / "t.npz", tmp_path / "both.npz"
    for arguments, message in (
        ({"path": path, "users": 7}, "has 9 raters, but a market needs 10"),
        ({"path": path, "states": 5}, r"has 8 items \(actions \* states\), but a market needs 10"),
        ({"path": path, "least_share": 0.9}, "more were dropped|nothing left"),
        ({"path": path, "source": "scores"}, 'source="scores" needs a file of scores'),
        ({"path": path, "source": "raters", "scores": both}, 'source="raters" has no use for the scores'),
        ({"path": both, "group": 2}, "group must be 1 where providers have scores of their own"),
        ({"path": both, "providers": 5}, "has 4 providers with scores, but a market needs 5"),
        ({"path": tmp_path / "t.txt"}, "path must be the path of a file that ends in .csv, .parquet, .npz"),
        ({"path": path, "digest": "0123"}, "has changed: its digest is"),
        ({"path": path, "least_share": 1.5}, "least_share must be a finite number at least 0 and at most 1"),
    ):
        with pytest.raises(ValueError, match=message):
            plx.families.table(**SIZES | arguments)


def test_a_scan_knows_its_data(tmp_path):
    np.savez(tmp_path / "t.npz", ratings=ratings())
    text = f'markets = 4\n[[grid]]\nfamily = "table"\npath = "{tmp_path / "t.npz"}"\nproviders = [1, 2]\nstates = 2\n'
    (tmp_path / "scan.toml").write_text(text)
    config = plx.scans.ScanConfig.from_toml(tmp_path / "scan.toml")
    (first, second) = config.cells
    assert first.parameters["digest"] == second.parameters["digest"] != ""
    assert make_family("table", first.parameters) == plx.families.table(tmp_path / "t.npz", providers=1, states=2)
    identity = config.identity
    assert plx.scans.ScanConfig.from_toml(tmp_path / "scan.toml").identity == identity
    np.savez(tmp_path / "t.npz", ratings=ratings(seed=1))
    assert plx.scans.ScanConfig.from_toml(tmp_path / "scan.toml").identity != identity
    with pytest.raises(ValueError, match="has changed"):
        make_family("table", first.parameters)
    (tmp_path / "bad.toml").write_text(text.replace("t.npz", "gone.npz"))
    with pytest.raises(ValueError, match=r"bad\.toml: table: .*gone\.npz cannot be read"):
        plx.scans.ScanConfig.from_toml(tmp_path / "bad.toml")
