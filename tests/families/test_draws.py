import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import special, stats

import pluraljax as plx
from pluraljax._families import _draws
from pluraljax._precision import in_float64

KEYS = jr.split(jr.key(11), 13)


@in_float64
def sample(key):
    first, second = jr.split(key)
    uniform, corners = _draws.uniforms(first, (5,), (9, 2))
    normal, normals = _draws.normals(second, (2,), (3, 7))
    return {"uniform": uniform, "simplex": _draws.simplex(corners), "normal": normal, "normals": normals}


@pytest.fixture(scope="module")
def one_by_one():
    """Every key drawn alone."""
    return jax.tree.map(lambda *rows: np.stack(rows), *[sample(key) for key in KEYS])


@in_float64
def consumed(key):
    """Draws inside a larger program, which the compiler is free to fuse the draws with."""
    drawn = sample(key)
    return drawn, jax.tree.map(lambda leaf: jnp.square(leaf).sum(), drawn)


def in_a_loop(keys):
    return jax.lax.map(sample, keys)


@pytest.mark.parametrize(
    ("batch", "x64"),
    [
        (jax.jit(jax.vmap(sample)), False),
        (jax.jit(jax.vmap(sample)), True),
        (lambda keys: jax.jit(jax.vmap(consumed))(keys)[0], False),
        (jax.jit(in_a_loop), False),
    ],
    ids=["vmap", "x64", "consumed", "loop"],
)
def test_draws_depend_on_the_key_alone(one_by_one, batch, x64):
    with jax.enable_x64(x64):
        drawn = batch(KEYS)
    for name, expected in one_by_one.items():
        assert drawn[name].dtype == np.float64
        np.testing.assert_array_equal(np.asarray(drawn[name]), expected, err_msg=name)


def test_draws_do_not_depend_on_the_batch_size(one_by_one):
    drawn = jax.vmap(sample)(KEYS[:2])
    jax.tree.map(lambda leaf, expected: np.testing.assert_array_equal(leaf, expected[:2]), drawn, one_by_one)


@pytest.mark.parametrize(("word", "expected"), [(0, 2.0**-53), (2**32 - 1, 1.0 - 2.0**-53)])
def test_the_ends_of_the_interval_are_never_drawn(monkeypatch, word, expected):
    monkeypatch.setattr(_draws.jr, "bits", lambda key, shape, dtype: jnp.full(shape, word, dtype))

    @in_float64
    def draw(key):
        uniform, corners = _draws.uniforms(key, (1,), (2,))
        return uniform, _draws.normals(key, (1,))[0], _draws.simplex(corners)

    uniform, normal, simplex = (np.asarray(drawn) for drawn in draw(KEYS[0]))
    assert uniform[0] == expected
    np.testing.assert_allclose(normal[0], special.ndtri(expected), rtol=1e-9)
    np.testing.assert_array_equal(simplex, [0.5, 0.5])


def test_draws_have_their_laws():
    @in_float64
    def draw(key):
        uniform, corners = _draws.uniforms(key, (20_000,), (4, 20_000))
        (normal,) = _draws.normals(key, (20_000,))
        return uniform, normal, _draws.simplex(corners)

    uniform, normal, simplex = (np.asarray(drawn) for drawn in draw(jr.key(5)))
    # The same key, so the same words.
    np.testing.assert_allclose(normal, special.ndtri(uniform), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(simplex.sum(axis=0), 1.0, rtol=1e-15)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    for corner in simplex:
        assert stats.kstest(corner, stats.beta(1, 3).cdf).pvalue > 1e-4
    # Neighbours share no words.
    assert abs(np.corrcoef(normal[1:], normal[:-1])[0, 1]) < 4 / np.sqrt(len(normal))


def test_a_whole_number_is_a_seed():
    family = plx.families.gaussian(providers=2, users=2, actions=2, states=2)
    for drawn, by_key in zip(jax.tree.leaves(family(7)), jax.tree.leaves(family(jr.key(7))), strict=True):
        np.testing.assert_array_equal(drawn, by_key)
    with pytest.raises(ValueError, match="a whole number as a seed, got 'seven'"):
        family("seven")
