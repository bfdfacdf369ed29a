"""Tuning: it improves certified numbers, resumes to the same result, and refuses what makes no sense."""

import json
import os

import jax
import jax.random as jr
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._cli import main

FAMILY = plx.families.gaussian(providers=3, users=3, actions=3, states=2)
CONFIG = """
objective = "weak_error"
seed = 1
[instrument]
name = "subsidy"
by = "outcome"
[markets]
family = "gaussian"
providers = 2
users = 2
actions = 2
states = 2
count = 6
[schedule]
steps = 30
rate = 0.1
every = 10
"""


class Killed(Exception):
    pass


@pytest.mark.slow
def test_the_command_tunes_and_goes_on_after_a_kill_to_the_same_result(tmp_path, monkeypatch, capsys):
    config = tmp_path / "pay.toml"
    config.write_text(CONFIG)
    assert main(["tune", str(config), "--out", str(tmp_path / "whole"), "--quiet"]) == 0
    from pluraljax._tuning import _tune

    write, seen = _tune._Checkpoint.write, []

    def dying(mark, state, history):
        write(mark, state, history)
        seen.append(len(history))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_tune._Checkpoint, "write", dying)
        with pytest.raises(Killed):
            main(["tune", str(config), "--out", str(tmp_path / "cut"), "--quiet"])
    assert seen == [10]
    # Results replace whatever is there, and follow no link.
    (victim := tmp_path / "victim").write_text("precious")
    for name in ("tuned.npz", "learning_curve.svg"):
        (tmp_path / "cut" / name).symlink_to(victim)
    (leftover := tmp_path / "cut" / ".pluraljax-0123456789abcdef.tmp").write_text("half")
    assert main(["tune", str(config), "--out", str(tmp_path / "cut"), "--quiet"]) == 0
    assert victim.read_text() == "precious"
    assert not leftover.exists()
    whole, cut = (dict(np.load(tmp_path / name / "tuned.npz")) for name in ("whole", "cut"))
    for name, column in whole.items():
        np.testing.assert_array_equal(column, cut[name])
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    weak = summary["certified"]["weak_error"]
    assert weak["after"] < 0.5 * weak["before"]
    assert (tmp_path / "whole" / "learning_curve.png").stat().st_size > 5_000
    # What is finished is not overwritten, and a checkpoint serves its own run only.
    assert main(["tune", str(config), "--out", str(tmp_path / "whole"), "--quiet"]) == 2
    assert "not overwritten" in capsys.readouterr().err
    (tmp_path / "cut" / "summary.json").unlink()
    config.write_text(CONFIG.replace("rate = 0.1", "rate = 0.2"))
    assert main(["tune", str(config), "--out", str(tmp_path / "cut"), "--quiet"]) == 2
    assert "another run" in capsys.readouterr().err
    checkpoint = tmp_path / "cut" / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert main(["tune", str(config), "--out", str(tmp_path / "cut"), "--quiet"]) == 2
    assert f"{checkpoint} is not an .npz archive of a checkpoint of tuning" in capsys.readouterr().err


def test_a_checkpoint_reaches_the_disk_and_is_not_trusted(tmp_path, monkeypatch):
    from pluraljax._tuning._tune import _Checkpoint

    synced, whole = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), whole(handle))[1])
    state = {"price": jax.numpy.ones((2, 3), np.float32), "step": jax.numpy.int32(7)}
    mark = _Checkpoint(tmp_path / "checkpoint.npz", "this run", 10)
    assert mark.read(state) == (state, [])
    mark.write(state, [[0.5, np.nan], [np.inf, 1.0]])
    assert synced == [mark.path.stat().st_ino, tmp_path.stat().st_ino]
    restored, history = mark.read(jax.tree.map(jax.numpy.zeros_like, state))
    assert jax.tree.map(np.asarray, restored)["price"].tolist() == [[1.0] * 3] * 2
    np.testing.assert_array_equal(history, [[0.5, np.nan], [np.inf, 1.0]])
    kept = dict(np.load(mark.path))
    for change, message in (
        ({"identity": np.array("another")}, "belongs to another run"),
        ({"identity": np.array(7)}, "instead of text"),
        ({"identity": np.array(["this run"])}, "no checkpoint of tuning"),
        ({"history": np.ones(3)}, "no checkpoint of tuning"),
        ({"history": np.ones((11, 2))}, "has taken 11 steps of 10"),
        ({"leaf0": np.ones((2, 2))}, r"leaf0 is not of shape \(2, 3\)"),
        ({"leaf2": np.ones(1)}, "'leaf2', which a checkpoint of tuning does not have"),
    ):
        np.savez(mark.path, **(kept | change))
        with pytest.raises(ValueError, match=message) as caught:
            mark.read(state)
        assert str(mark.path) in str(caught.value)


def test_wrong_configs_are_explained(tmp_path, capsys):
    config = tmp_path / "bad.toml"
    for text, message in (
        ("objectiv = 1", "Unknown key 'objectiv'"),
        ("seed = 1", "needs a table [instrument]"),
        (CONFIG.replace('"subsidy"', '"gift"'), "Unknown instrument 'gift'"),
        (CONFIG.replace('"weak_error"', '"joy"'), "objective must be one of"),
        (CONFIG.replace("steps = 30", "steps = 0"), "Schedule.steps must be"),
    ):
        config.write_text(text)
        assert main(["tune", str(config), "--out", str(tmp_path / "out"), "--quiet"]) == 2
        assert message in capsys.readouterr().err


def batch(count=4):
    return jax.jit(jax.vmap(FAMILY))(jr.split(jr.key(3), count))


@pytest.mark.slow
def test_segments_are_chosen_better_than_at_random():
    markets = batch()
    schedule = plx.tuning.Schedule(steps=150, rate=0.1)
    with jax.enable_x64(True):
        tuned = plx.tuning.tune(
            "segment_error", plx.tuning.Segmentation(2), markets, segments=(0, 0, 0), schedule=schedule
        )
    # Two segments nest one, and the relaxation found a division that helps.
    assert (tuned.after.segment_error <= tuned.before.segment_error + 1e-6).mean() > 0.7
    assert tuned.after.segment_error.mean() < tuned.before.segment_error.mean()
    assert tuned.history[-1] < tuned.history[0]


def test_instruments_keep_their_promises():
    with jax.enable_x64(True):
        market = FAMILY(jr.key(0))
        licence = plx.tuning.Licence(most=2)
        weights = np.array([[0.0, 1.0, 0.2], [0.1, 0.9, 0.3], [0.0, 1.0, 0.3]])
        kept = np.asarray(licence.apply(jax.numpy.asarray(weights), market).provider_value)
        values = np.asarray(market.provider_value)
        np.testing.assert_array_equal(kept, values[[1, 1, 2]])
        subsidy = plx.tuning.Subsidy(budget=0.5)
        paid = subsidy.project(jax.numpy.ones((3, 3, 1)), market)
        np.testing.assert_allclose(float(subsidy.cost(paid, market)), 0.5 * 0.5**2)
        mass = np.asarray(plx.tuning.Reweighting().apply(jax.numpy.asarray([1.0, 0.0, -1.0]), market).mass)
        np.testing.assert_allclose(mass.sum(), 1.0)
        np.testing.assert_allclose(mass[0] / mass[1], np.e)
        entered = np.asarray(plx.tuning.Entrant().apply(jax.numpy.asarray([1.0, 0.0, 0.0]), market).provider_value)
        average = np.asarray(market.user_value).mean(axis=0)
        assert np.corrcoef(entered[-1, 0].ravel(), average.ravel())[0, 1] > 1 - 1e-12
    with pytest.raises(ValueError, match="market by market"):
        plx.tuning.tune("weak_error", licence, FAMILY)
    with pytest.raises(ValueError, match="budget must be > 0"):
        plx.tuning.Subsidy(budget=0.0)
