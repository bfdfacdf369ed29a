"""The experiment on adaptive scans, with rows drawn from the known probability in place of a thousand scans."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pluraljax._scan.config._stopping import State, replay
from pluraljax.scans import Until


@pytest.fixture
def adaptive(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "experiments"))
    import adaptive

    yield adaptive
    for name in ("adaptive", "manifest"):
        sys.modules.pop(name, None)


def draw_scans(config):
    """Scans that stop as the engine does, on draws from Wendel's probability."""
    rng, until = np.random.default_rng(0), Until("weakly_aligned", config.half_width, config.confidence, config.most)
    scans = []
    for _ in range(config.scans):
        scan = []
        for providers in config.providers:
            codes = (rng.random(config.most) < 1 - 2.0 ** -(providers - 1)).astype(np.int8)
            verdict = replay(until, codes[:0], config.most)
            while verdict.state is State.UNFINISHED:
                verdict = replay(until, codes[: verdict.look], config.most)
            scan.append(codes[: verdict.sampled])
        scans.append(scan)
    return scans


def test_it_tells_intervals_that_hold_from_those_that_do_not(adaptive, monkeypatch, tmp_path):
    monkeypatch.setattr(adaptive, "run_scans", draw_scans)
    config = adaptive.Config(scans=60, half_width=0.1, most=400, providers=(2, 4))
    results = adaptive.main(config, tmp_path)
    for result in results:
        assert result.covered >= 0.95
        assert result.ever_wrong <= 0.1
        assert result.ever_wrong_peeking > result.ever_wrong
        assert result.capped == 0
        assert result.markets_if_fixed < result.markets < 400
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [each["formula"] for each in manifest["results"]] == [0.5, 0.875]
    assert (tmp_path / "adaptive.png").stat().st_size > 10_000
