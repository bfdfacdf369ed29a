import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pluraljax as plx
from pluraljax._segments import as_labels, blocks, gather

LABELS = st.lists(st.integers(-3, 3), min_size=1, max_size=6)


def test_the_two_ends():
    np.testing.assert_array_equal(plx.personalized(3), [0, 1, 2])
    np.testing.assert_array_equal(plx.anonymous(3), [0, 0, 0])
    for segments in (plx.personalized, plx.anonymous):
        with pytest.raises(ValueError, match="num_users must be a whole number of at least 1, got 0"):
            segments(0)


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0, 2.0], [[0, 1, 2]], ["a", "b", "c"], [True, False, True], 0])
def test_labels_have_to_be_an_integer_per_user(labels):
    with pytest.raises(ValueError, match=r"one integer label per user, shape \(3,\), got "):
        as_labels(labels, 3)
    market = plx.observed_market(np.ones((3, 2, 2)), np.ones((1, 3, 2, 2)))
    with pytest.raises(ValueError, match="one integer label per user"):
        plx.guarantee(market, labels)
    with pytest.raises(ValueError, match="one integer label per user"):
        plx.segment_alignment(market, labels)


@given(LABELS)
def test_static_blocks_hold_every_user_once_among_her_own(labels):
    seen = []
    for block in blocks(as_labels(labels, len(labels))):
        members, present = np.asarray(block.members), np.asarray(block.present)
        assert present.all()
        for user, row, place in zip(*map(np.asarray, (block.users, block.row, block.place)), strict=True):
            assert members[row, place] == user
            assert sorted(members[row]) == [j for j, label in enumerate(labels) if label == labels[user]]
            seen.append(int(user))
    assert sorted(seen) == list(range(len(labels)))


@settings(max_examples=12)
@given(LABELS)
def test_traced_labels_gather_the_same_values_and_zeros_for_the_rest(labels):
    users = len(labels)
    values = np.arange(1.0, 1 + 2 * users).reshape(2, users)
    (block,) = blocks(jnp.asarray(labels, jnp.int32))
    for axis, table in ((1, values), (0, values.T)):
        taken = np.moveaxis(np.asarray(gather(jnp.asarray(table, jnp.float32), block, axis)), axis + 1, 1)
        same = np.equal.outer(labels, labels)
        for j in range(users):
            np.testing.assert_array_equal(taken[j, same[j]], values.T[same[j]])
            assert (taken[j, ~same[j]] == 0).all()


def test_labels_stay_static_unless_traced():
    assert as_labels(jnp.array([2, 2, 5], jnp.int32), 3) == (2, 2, 5)
    traced = []
    jax.eval_shape(lambda labels: traced.append(as_labels(labels, 3)), jnp.array([2, 2, 5], jnp.int32))
    assert not isinstance(traced[0], tuple)
