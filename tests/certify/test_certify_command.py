"""`pluraljax certify` as a process: known numbers, proofs to read, JSON, exit codes and every bad input."""

import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import pluraljax as plx

ROOT = Path(__file__).parent.parent.parent
# What other processes of these tests compiled is there for this one.
PROGRAMMES = str(ROOT / ".pytest_cache" / "processes")
ENVIRONMENT = os.environ | {"JAX_COMPILATION_CACHE_DIR": PROGRAMMES, "JAX_PLATFORMS": "cpu"}

# Several commands in one process, which compiles once: prints the exit code and the output of each as JSON.
SEVERAL = """
import contextlib, io, json, sys
from pluraljax import _proposals
from pluraljax._cli import main

def run(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["certify", *arguments])
    return code, out.getvalue()

market, worst, told, quoted = sys.argv[1:]
results = {
    "json": run(market, "--json"),
    "text": run(market, "--segments", "0"),
    "worst": run(market, "--profile", worst, "--json"),
    "told": run(market, "--profile", told),
    "quoted": run(quoted),
}
real = _proposals.propose_guarantees
_proposals.propose_guarantees = lambda *args: [p._replace(lower=p.lower + 0.01) for p in real(*args)]
results["planted"] = run(market)
print(json.dumps(results))
"""


def judge(guilty=0.25):
    """A prosecutor who wants convictions, and a judge who wants the truth; all numbers are short binary ones."""
    convictions = np.zeros((1, 1, 2, 2))
    convictions[:, :, 1] = 1.0
    return plx.observed_market(np.eye(2)[None], convictions, prior=np.array([1 - guilty, guilty]))


def process(*command):
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certify")
    plx.save_market(folder / "judge.npz", judge())
    plx.save_market(folder / "quoted.npz", judge(0.3))
    # Guilty or not, the judge hears "convict" or "acquit"; all the guilty and a third of the innocent are convicted.
    worst = np.array([[[2 / 3, 1 / 3], [0.0, 1.0]]])[None]
    plx.files.save_profile(folder / "worst.npz", plx.play.recommending_profile(worst, 1))
    plx.files.save_profile(folder / "told.npz", plx.play.informative_profile(judge(), plx.personalized(1)))
    return folder


@pytest.fixture(scope="module")
def results(files):
    done = process("-c", SEVERAL, files / "judge.npz", files / "worst.npz", files / "told.npz", files / "quoted.npz")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in files.iterdir()) == ["judge.npz", "quoted.npz", "told.npz", "worst.npz"]
    return json.loads(done.stdout)


def fractions_of(claim):
    return {bound["side"]: Fraction(bound["exact"]["fraction"]) for bound in claim["bounds"]}


def claims_of(output):
    return {claim["key"]: claim for section in json.loads(output)["sections"] for claim in section["claims"]}


def test_the_prosecutor_and_the_judge_are_proved_with_their_known_fractions(results):
    code, output = results["json"]
    claims = claims_of(output)
    assert (code, json.loads(output)["verdicts"]) == (0, {"PROVED": 6, "OPEN": 0, "REFUTED": 0})
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert fractions_of(claims["most/provider 0/user 0"]) == {"lower": half, "upper": half}
    outcome = claims["most/provider 0/user 0"]["bounds"][0]["data"]["outcome"]
    assert outcome == [[["2/3", "1/3"], ["0/1", "1/1"]]]
    assert fractions_of(claims["worst/user 0"]) == {"lower": 3 * quarter, "upper": 3 * quarter}
    assert fractions_of(claims["weak/user 0"]) == {"lower": half, "upper": half}
    # Told everything, the judge convicts a quarter of the time, which is the prosecutor's floor.
    assert claims["guarantee/personalized/user 0"]["bounds"][0]["data"]["floors"] == ["1/4"]
    silence = claims["silence/personalized"]
    assert silence["statement"] == "silence is no delta-equilibrium, personalized"
    gain = fractions_of(silence["claims"][0])
    # The policy convicts a little less than the third that it could, so that rounding does not decide what is obeyed.
    assert half - Fraction(1, 10**10) < gain["lower"] <= half
    assert half <= gain["upper"] <= half + Fraction(1, 10**9)


def test_the_proof_is_there_to_read(results):
    code, text = results["text"]
    assert code == 0
    for line in (
        "0.5 <= most that provider 0 can get from user 0 <= 0.5",
        "multipliers: obedience 1->0 1, her utility 0",
        "each provider gets at least its floor (1) from user 0: (0.25)",
        "silence is no delta-equilibrium, personalized",
    ):
        assert line in text
    # The judge learns nothing from a prosecutor who has no competitor, and the first screen says so.
    beginning = text.splitlines()[:7]
    assert "   User 0 is not served if policies are personalized (worst: 0 % personalized)." in beginning
    assert f"   {text.splitlines()[-1]}" in beginning
    assert text.rstrip().endswith("6 claims: 6 PROVED.")
    assert max(map(len, text.splitlines())) < 200


def test_the_documentation_quotes_what_is_printed(results):
    code, text = results["quoted"]
    (block,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "certify.md").read_text(), re.DOTALL)
    assert code == 0
    assert block in text


def test_a_profile_is_proved_or_refuted(results):
    code, output = results["worst"]
    profile = claims_of(output)["profile"]
    assert (code, profile["verdict"]) == (0, "PROVED")
    assert fractions_of(profile["claims"][0])["upper"] < Fraction(1, 10**9)
    code, text = results["told"]
    assert code == 1
    assert "user 0 talks to provider 0 and gets 1" in text
    refuted = re.search(r"REFUTED\n +why: provider 0 gains at least (\S+), more than 1e-09", text)
    assert refuted is not None
    assert float(refuted[1]) == pytest.approx(0.25, abs=1e-9)
    assert text.rstrip().endswith("7 claims: 6 PROVED, 1 REFUTED.")


def test_what_is_not_proved_is_open_and_exits_with_1(results):
    code, text = results["planted"]
    assert code == 1
    reported = re.search(r"why: float64 reported (\S+) as the lower end, 0.01 beyond what is proved", text)
    assert reported is not None
    assert float(reported[1]) == pytest.approx(0.01)
    assert text.rstrip().endswith("5 PROVED, 1 OPEN.")


def command(capsys, monkeypatch, *arguments):
    """Runs a command that ends before anything is computed, in this process."""
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    from pluraljax._cli import main

    code = main(["certify", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("pluraljax certify: ")
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delta", "-1"], "--delta must be >= 0, got -1.0"),
        (["--delta", "nan"], "--delta must be >= 0, got nan"),
        (["--budget", "-1"], "--budget must be >= 0, got -1"),
        (["--segments", "0,1"], "--segments needs a label for each of 1 users, got 2"),
        (["--segments", "everyone"], "got 'everyone'"),
        (["--profile", "nowhere.npz"], "nowhere.npz: there is no such file"),
    ],
)
def test_a_bad_argument_exits_with_2(arguments, message, capsys, monkeypatch, files):
    assert message in command(capsys, monkeypatch, files / "judge.npz", *arguments)


@cache
def bad_profiles():
    policy = np.full((1, 1, 2, 1, 2), 0.5)
    return {
        "axes": ({"policy": policy[0]}, "needs 5 non-empty axes"),
        "sums": ({"policy": 1.1 * policy}, "'policy' is not a probability"),
        "name": ({"polcy": policy}, "'polcy', which a profile does not have"),
        "nothing": ({"choice": np.zeros(1, int)}, "no array 'policy'; it holds 'choice'"),
        "NaN": ({"policy": np.nan * policy}, "'policy' holds NaN"),
        "words": ({"policy": policy, "choice": np.array(["a"])}, "instead of real numbers"),
        "providers": (
            {"policy": np.tile(policy, (2, 1, 1, 1, 1))},
            "policy has shape (2, 1, 2, 1, 2), and this market asks for (1, segments, 2, ...)",
        ),
        "segments": ({"policy": np.tile(policy, (1, 3, 1, 1, 1))}, "the profile has policies for 3 segments"),
    }


@pytest.mark.parametrize("name", bad_profiles())
def test_a_bad_profile_exits_with_2_and_its_name(name, capsys, monkeypatch, files, tmp_path):
    arrays, message = bad_profiles()[name]
    np.savez(tmp_path / "bad.npz", **arrays)
    err = command(capsys, monkeypatch, files / "judge.npz", "--profile", tmp_path / "bad.npz")
    assert message in err
    assert str(tmp_path / "bad.npz") in err


def test_a_bad_market_exits_with_2_and_its_name(capsys, monkeypatch, tmp_path):
    np.savez(tmp_path / "half.npz", user_value=np.eye(2)[None])
    for name, message in (("half.npz", "no array 'provider_value'"), ("none.npz", "there is no such file")):
        err = command(capsys, monkeypatch, tmp_path / name)
        assert str(tmp_path / name) in err
        assert message in err


def test_bad_input_to_a_process_and_help():
    done = process("-m", "pluraljax", "certify", "missing.npz", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pluraljax certify: missing.npz: there is no such file.\n"
    done = process("-m", "pluraljax", "certify", "--help")
    assert "0 every claim is proved; 1 something is OPEN or REFUTED" in " ".join(done.stdout.split())
