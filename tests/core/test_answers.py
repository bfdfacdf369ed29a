"""Every question answers alike, what an answer carries proves it, and it reads: in terminals, notebooks and tables."""

import functools
import inspect

import compiled
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._answer import Answer

TOGETHER, APART = np.zeros(2, np.int32), np.arange(2, dtype=np.int32)
MARKET = plx.families.gaussian(providers=2, users=2, actions=3, states=3)(jr.key(0))
# What each question is short for, by hand in NumPy.
USER, PROVIDER = np.asarray(MARKET.user_value), np.asarray(MARKET.provider_value)
PRIOR = np.einsum("jtxx->jx", np.asarray(MARKET.prior))


@functools.cache
def answer(name):
    questions = {
        "weak": plx.weak_alignment,
        "hull": lambda market: plx.weak_alignment(market, "hull"),
        "strong": plx.strong_alignment,
        "apart": lambda market: plx.guarantee(market, APART),
        "together": lambda market: plx.guarantee(market, TOGETHER, 0.05),
        "silence": lambda market: plx.silence(market, APART),
    }
    found = jax.jit(questions[name], compiler_options=compiled.CHEAP)(MARKET)
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", ["weak", "hull", "strong"])
def test_weights_and_direction_prove_an_alignment_error(name):
    """`eps >= <d, u>` for every d with entries that sum to 0, absolute ones to 1, and no provider that gains by it.

    With hull weights what the best provider gains is taken off.
    """
    found, error = answer(name), []
    for j in range(2):
        weights = found.witness if name == "strong" else found.witness[j]
        rest = np.einsum("i,iay->ay", weights, PROVIDER[:, j]) + found.offset[j] - found.scale[j] * USER[j]
        error.append(np.abs(rest).max())
    upper = np.max(error) if name == "strong" else error
    np.testing.assert_allclose(found.value.upper, upper, atol=1e-12)
    proof = found.proof.reshape(2, 3, 3)
    members = [[0, 1]] if name == "strong" else [[0], [1]]
    for lower, users in zip(np.atleast_1d(found.value.lower), members, strict=True):
        by = proof[users]
        np.testing.assert_allclose(by.sum(axis=(1, 2)), 0, atol=1e-12)
        gained = np.einsum("jay,ijay->i", by, PROVIDER[:, users])
        if name != "hull":
            assert (gained <= 1e-12).all()
        proved = (by * USER[users]).sum() - (gained.max() if name == "hull" else 0.0)
        np.testing.assert_allclose(lower, proved / np.abs(by).sum(), atol=1e-12)


@pytest.mark.parametrize(("name", "delta"), [("apart", 0.0), ("together", 0.05)])
def test_weights_and_outcome_prove_a_guarantee(name, delta):
    """The outcome leaves every provider what telling the segment everything would, and gives the user the upper end.

    The least `U - sum_i w_i V_i / mass` over all outcomes, with what the floors are worth at w, is the lower end.
    """
    found, mass = answer(name), np.asarray(MARKET.mass)
    user, provider = USER * PRIOR[:, None], PROVIDER * PRIOR[:, None]
    best = USER.argmax(axis=1)
    told = np.take_along_axis(provider, np.broadcast_to(best[None, :, None], (2, 2, 1, 3)), axis=2).sum(axis=(2, 3))
    for j in range(2):
        users = [j] if name == "apart" else [0, 1]
        place = users.index(j)
        outcome = np.swapaxes(found.outcome[j, : len(users), 0], 1, 2)  # [member action state]
        np.testing.assert_allclose(outcome.sum(axis=1), 1, atol=1e-9)
        assert (outcome >= -1e-12).all()
        floors = (told[:, users] * mass[users]).sum(axis=1) - delta
        brought = np.einsum("may,imay,m->i", outcome, provider[:, users], mass[users])
        assert (brought >= floors - 1e-9).all()
        np.testing.assert_allclose(found.value.upper[j], (outcome[place] * user[j]).sum(), atol=1e-12)
        prices = found.proof[j] / mass[j]
        score = -np.einsum("i,imay,m->may", prices, provider[:, users], mass[users])
        score[place] += user[j]
        proved = score.min(axis=1).sum() + prices @ floors
        np.testing.assert_allclose(found.value.lower[j], proved, atol=1e-12)


def test_every_answer_has_what_all_have():
    answers = [each for each in vars(plx.answers).values() if inspect.isclass(each) and issubclass(each, Answer)]
    # The base classes themselves say nothing.
    answers = [each for each in answers if each not in (Answer, plx.answers.UtilityAnswer)]
    assert len(answers) >= 12
    for each in answers:
        for name in ("value", "status", "witness", "proof", "lower", "upper"):
            assert name in each.__dataclass_fields__ or isinstance(inspect.getattr_static(each, name), property), each
        assert {each.attained_by, each.proved_by} <= {"", *each.__dataclass_fields__}, each
    for each in (plx.answers.Alignment, plx.answers.Guarantee, plx.answers.Silence, plx.answers.Deviation):
        assert each.attained_by
        assert each.proved_by


def test_an_answer_shows_its_numbers_and_its_status_in_words():
    found = answer("apart")
    text = repr(found)
    assert "status=[OK, OK]" in text
    for end in found.value.lower:
        assert f"{end:.6g}"[:7] in text
    assert "holds=" in repr(answer("silence"))
    assert repr(plx.Bracket(jnp.zeros(2), jnp.ones(2))) == "Bracket(lower=[0., 0.], upper=[1., 1.])"
    # Its fields, and nothing else of its class.
    shown = [line.split("=")[0].strip() for line in text.splitlines()[1:-1]]
    assert shown == ["value", "weights", "outcome", "status"]
    marks = plx.benchmarks(MARKET)
    aligned = np.array2string(np.asarray(marks.aligned), precision=6, separator=", ")
    assert repr(marks).startswith(f"Benchmarks(\n  aligned={aligned},\n")
    assert "status=OK" in repr(marks)
    wide = eqx.tree_at(lambda f: f.value, found, plx.Bracket(jnp.zeros(2), jnp.array([0.5, 1.0])))
    assert "value=[[0., 0.], [0.5, 1. ]]" in repr(wide)


def test_widths_are_in_double_precision_whatever_jax_is_set_to():
    ends = np.array([1.0]), np.array([1.0 + 2.0**-40])
    with jax.enable_x64(True):
        bracket = plx.Bracket(*map(jnp.asarray, ends))
    assert float(bracket.width[0]) == 2.0**-40


def test_large_answers_show_a_summary():
    many = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (40, *leaf.shape)), answer("apart"))
    text = repr(many)
    assert "80 OK" in text
    assert "40 x 2 numbers from" in text
    assert len(text.splitlines()) < 10


def test_what_is_traced_has_no_numbers_to_show():
    texts = []

    def ask(market):
        found = plx.weak_alignment(market)
        texts.extend([repr(found), repr(found.value), found._repr_html_()])
        return found

    jax.eval_shape(ask, MARKET)
    assert all("f64[2]" in text for text in texts)


def test_a_notebook_shows_a_table():
    html = answer("silence")._repr_html_()
    assert html.startswith("<table>")
    assert "<th>holds</th>" in html


def test_an_answer_is_a_table_with_named_axes():
    found = answer("apart")
    table = found.to_xarray()
    assert table["weights"].dims == ("user", "provider")
    assert table["outcome"].dims == ("user", "member", "type", "evidence", "action")
    np.testing.assert_array_equal(table["lower"], found.lower)
    batch = jax.tree.map(lambda leaf: np.stack([leaf] * 4), found).to_xarray()
    assert batch["weights"].dims == ("batch_0", "user", "provider")


def test_an_answer_is_a_pandas_table():
    found = answer("apart")
    frame = found.to_pandas()
    assert list(frame.columns) == ["lower", "upper", "status", "weights_0", "weights_1"]
    assert list(frame["status"]) == ["OK", "OK"]
    np.testing.assert_array_equal(frame["weights_1"], found.weights[:, 1])
    assert len(answer("strong").to_pandas()) == 1
