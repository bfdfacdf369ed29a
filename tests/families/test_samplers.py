"""What every family promises, whatever its formula."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._precision import in_float64

KEYS = jr.split(jr.key(2), 7)
SAMPLERS = {
    "spatial": plx.families.spatial(providers=2, users=3, bias="relative", prior="dirichlet"),
    "gaussian": plx.families.gaussian(providers=4, users=2, actions=3, states=5, shared=0.7, prior="dirichlet"),
    "opposed": plx.families.opposed(providers=3, users=2, actions=2, states=4, common_decision=True),
    "conic": plx.families.conic(providers=3, users=2, perturbation=0.3, weight_sum=1.7, prior="dirichlet"),
    "conic-extremal": plx.families.conic(providers=3, users=2, perturbation=0.3, residual="extremal"),
}
SIZES = {  # providers, users, actions, states
    "spatial": (2, 3, 9, 9),
    "gaussian": (4, 2, 3, 5),
    "opposed": (3, 2, 2, 4),
    "conic": (3, 2, 3, 3),
    "conic-extremal": (3, 2, 3, 3),
}


@pytest.fixture(scope="module", params=SAMPLERS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def one_by_one(name):
    """Every key drawn alone, with JAX's float64 switch off."""
    return jax.tree.map(lambda *rows: np.stack(rows), *[SAMPLERS[name](key) for key in KEYS])


def assert_same_bits(market, expected):
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(np.asarray, market), expected)


def test_shapes_types_and_validity(name, one_by_one):
    providers, users, actions, states = SIZES[name]
    assert one_by_one.prior.shape == (len(KEYS), users, 1, states, states)
    assert one_by_one.user_value.shape == (len(KEYS), users, actions, states)
    assert one_by_one.provider_value.shape == (len(KEYS), providers, users, actions, states)
    assert {leaf.dtype for leaf in jax.tree.leaves(one_by_one)} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(one_by_one.mass, 1 / users)
    # Providers see the state.
    assert not one_by_one.prior[..., ~np.eye(states, dtype=bool)].any()
    np.testing.assert_allclose(one_by_one.prior.sum(axis=(2, 3, 4)), 1.0, rtol=1e-15)
    for leaf in (one_by_one.user_value, one_by_one.provider_value):
        assert np.isfinite(leaf).all()
        assert len(np.unique(leaf[..., 0, 0])) >= len(KEYS)


def test_a_batch_has_the_same_bits_as_its_rows(name, one_by_one):
    assert_same_bits(jax.vmap(SAMPLERS[name])(KEYS), one_by_one)


def test_a_smaller_batch_inside_a_larger_program_has_the_same_bits(name, one_by_one):
    @in_float64
    def study(key):
        market = SAMPLERS[name](key)
        return market, jax.tree.map(lambda leaf: jnp.square(leaf).sum(), market)

    assert_same_bits(jax.jit(jax.vmap(study))(KEYS[:3])[0], jax.tree.map(lambda leaf: leaf[:3], one_by_one))


def test_the_float64_switch_changes_no_bit(name, one_by_one):
    with jax.enable_x64(True):
        assert_same_bits(SAMPLERS[name](KEYS[4]), jax.tree.map(lambda leaf: leaf[4], one_by_one))


def test_equal_parameters_make_equal_samplers():
    # Written as a configuration file would: whole numbers for reals, lists for tuples.
    first = plx.families.opposed(scales=[[1, -2], [-2, 1]], positive=1)
    second = plx.families.opposed(scales=((1.0, -2.0), (-2.0, 1.0)), positive=1.0)
    assert first == second
    assert hash(first) == hash(second)
    assert first != plx.families.opposed(scales=[[1, -3], [-3, 1]], positive=1)


def test_a_batch_of_keys_needs_vmap():
    with pytest.raises(ValueError, match="vmap"):
        SAMPLERS["gaussian"](KEYS)
