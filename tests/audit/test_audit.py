"""Audits of score tables agree with linear programmes, prompt by prompt, and say what is wrong with a bad table."""

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audit_oracle import covered, fewest

import pluraljax as plx
from pluraljax._audit._audit import find
from pluraljax._audit._certificate import certificate
from pluraljax._audit._least import determinant, least_removal, normal
from pluraljax._audit._mixtures import covers, survival
from pluraljax._audit._prompt import Prompt, bits
from pluraljax._cli import main


def small_prompts(count):
    """Prompts with ties, duplicates, proportional models, users' own scores, and baselines that are not the best."""
    rng = np.random.default_rng(5)
    for number in range(count):
        models, answers = rng.integers(1, 6), rng.integers(2, 6)
        kind = number % 4
        scores = rng.normal(size=(models, answers)) if kind == 3 else rng.integers(-2, 3, (models, answers)) * 1.0
        if kind == 1 and models > 2:
            scores[1], scores[2] = scores[0] / 10, scores[0]
        if kind == 2:
            scores = np.round(scores / 3, 1)  # tenths, which are no sums of powers of two
        wanted = np.eye(answers)[rng.integers(answers)] if number % 2 else rng.integers(0, 3, answers) * 1.0
        base = int(np.argmax(wanted)) if number % 5 else int(rng.integers(answers))
        yield Prompt(str(number), scores, wanted, base)


def panel(count, seed=0, models=48, step=0.25, skill=0.4):
    """Prompts of the shape of the paper's: 48 models, 4 answers, one correct, scores in steps so that many tie."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(count, 4, models)) + 1.5 * rng.normal(size=(count, 4, 1))
    correct = rng.integers(0, 4, count)
    scores[np.arange(count), correct] += skill
    return np.round(scores / step) * step, correct


def test_the_fewest_models_are_those_of_every_removal():
    for prompt in small_prompts(80):
        least = least_removal(prompt)
        assert least.number == fewest(prompt), prompt
        if least.mixture is not None:
            assert least.removed.sum() == least.number
            rest = prompt.losses[~least.removed]
            assert not covered(rest, prompt.stakes)


def test_the_search_agrees_with_the_rays():
    for prompt in small_prompts(80):
        number, models = least_removal(prompt).number - 1, len(prompt.scores)
        found = survival(prompt, models)
        assert found.lower <= min(number, models) <= found.upper
        exact = prompt.exact()
        assert all(covers(exact, prompt, row) for row in found.weights)
        # Whoever leaves, some weights lose none of their support.
        for gone in [] if found.lower < 1 else np.eye(models, dtype=bool):
            assert any(not (row[gone] > 0).any() for row in found.weights)


def test_ties_are_decided_by_whole_numbers():
    tenth = np.array([[0.3, 0.1, 0.2], [0.1, 0.3, 0.2]])
    # Exactly half of each wrong answer would tie if these were tenths; as stored, 0.3 is a little less.
    prompt = Prompt("tenths", tenth, np.array([0.0, 0.0, 1.0]), 2)
    mixed = [Fraction(float(row[0])) + Fraction(float(row[1])) - 2 * Fraction(float(row[2])) for row in tenth]
    assert least_removal(prompt).number == (1 if max(mixed) < 0 else 0)
    whole = Prompt("whole", np.array([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]]), np.array([0.0, 0.0, 1.0]), 2)
    assert least_removal(whole).number == 0
    # One unit in the last place is no tie.
    above = np.nextafter(2.0, 3.0)
    close = Prompt("close", np.array([[3.0, 1.0, above], [1.0, 3.0, above]]), np.array([0.0, 0.0, 1.0]), 2)
    assert least_removal(close).number == 1


def test_order_and_units_of_models_do_not_matter_and_twins_do_not_hurt():
    rng = np.random.default_rng(2)
    for prompt in small_prompts(60):
        number = least_removal(prompt).number
        if number > len(prompt.scores):
            continue
        order = rng.permutation(len(prompt.scores))
        scaled = prompt.scores[order] * 2.0 ** rng.integers(-3, 4, (len(order), 1))
        assert least_removal(Prompt("", scaled, prompt.wanted, prompt.baseline)).number == number
        more = np.concatenate([prompt.scores, prompt.scores[:1]])
        assert least_removal(Prompt("", more, prompt.wanted, prompt.baseline)).number >= number


def test_determinants_and_normals():
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=(20, 4, 4))
    np.testing.assert_allclose(determinant(matrices), np.linalg.det(matrices))
    rows = rng.normal(size=(20, 3, 4))
    np.testing.assert_allclose(np.einsum("rpa,ra->rp", rows, normal(rows)), 0.0, atol=1e-12)
    assert bits(np.array([0.0])) == 0
    assert bits(np.array([6.0, -0.5])) == 4
    assert bits(np.array([0.1])) > 50


def write_csv(path, scores, wanted, column="correct", extra=None):
    prompts, answers, models = scores.shape
    with path.open("w") as file:
        names = ["prompt", "answer", column, *([extra[0]] if extra else []), *(f"m{i}" for i in range(models))]
        file.write(",".join(names) + "\n")
        for p, a in np.ndindex(prompts, answers):
            more = [extra[1][p][a]] if extra else []
            entries = [f"p{p}", a, wanted[p][a], *more, *map(repr, scores[p, a].tolist())]
            file.write(",".join(map(str, entries)) + "\n")
    return path


def test_every_kind_of_file_gives_the_same_audit(tmp_path):
    scores, correct = panel(12, models=9)
    wanted = np.eye(4, dtype=int)[correct]
    csv = write_csv(tmp_path / "scores.csv", scores, wanted)
    np.savez(tmp_path / "scores.npz", scores=scores, correct=correct, models=[f"m{i}" for i in range(9)])
    rows = {"prompt": np.repeat([f"p{p}" for p in range(12)], 4), "correct": wanted.ravel()}
    rows |= {f"m{i}": scores[..., i].ravel() for i in range(9)}
    pq.write_table(pa.table(rows), tmp_path / "scores.parquet")
    seen = []
    found = [plx.audit(csv, (0, 1, 3), each=seen.append)]
    found += [plx.audit(tmp_path / f"scores.{kind}", (0, 1, 3)) for kind in ("npz", "parquet")]
    for other in found[1:]:
        assert other.models == found[0].models
        assert (other.lower == found[0].lower).all()
        assert (other.pivotal == found[0].pivotal).all()
        assert other.shares == found[0].shares
    assert [each.name for each in seen] == [f"p{p}" for p in range(12)]
    expected = [fewest(Prompt("", scores[p].T, wanted[p] * 1.0, int(correct[p])), 4) - 1 for p in range(12)]
    assert [min(int(n), 4) for n in found[0].lower] == expected
    for share in found[0].shares:
        assert share.covered == (np.array(expected) >= share.removed).sum()
        assert share.lower <= share.covered / 12 <= share.upper
    narrow = [each for each in seen if 0 <= each.upper < 3]
    assert found[0].narrow == len(narrow)
    assert found[0].pivotal.sum() == sum(each.upper + 1 for each in narrow)


def test_baselines_and_users_of_their_own(tmp_path):
    rng = np.random.default_rng(3)
    scores, user = rng.integers(-2, 3, (8, 3, 5)) * 1.0, rng.integers(0, 3, (8, 3))
    marked = np.eye(3, dtype=int)[rng.integers(0, 3, 8)]
    path = write_csv(tmp_path / "scores.csv", scores, user, "user", ("chosen", marked))
    found = plx.audit(path, (0, 1), baseline="chosen")
    for p in range(8):
        prompt = Prompt("", scores[p].T, user[p] * 1.0, int(marked[p].argmax()))
        assert found.lower[p] == min(fewest(prompt) - 1, 5)
    assert "chosen" not in found.models


def test_many_answers_fall_back_on_a_search():
    rng = np.random.default_rng(4)
    for number in range(4):
        scores = rng.normal(size=(14, 9)) + (np.arange(9) == 2) * (0.5 + number)
        prompt = Prompt("", scores, np.eye(9)[2], 2)
        found = find(prompt, 2)
        exact = fewest(prompt, 2) - 1
        assert found.lower == min(exact, 2)
        assert found.upper == (exact if exact < 2 else 14)


def test_a_certificate_can_be_checked_by_hand(tmp_path):
    scores, correct = panel(3, models=7, skill=1.0)
    path = tmp_path / "scores.npz"
    np.savez(path, scores=scores, correct=correct)
    found = plx.audit(path, (0, 1, 2), keep=["0", "1", "2"])
    for name, prompt in found.kept.items():
        proof = certificate(prompt, found.models, 2)
        assert proof.is_proved
        for row in proof.weights:
            left = [
                sum(Fraction(w) * Fraction(x) for w, x in zip(row, column, strict=True)) for column in prompt.losses.T
            ]
            assert min(left) >= 1
        assert proof.as_data()["survives"] == [int(found.lower[int(name)])] * 2
        assert str(proof).endswith("PROVED")


HEAD = "prompt,correct,a,b\n"
BAD = {
    "missing score": (HEAD + "p,1,0.5,\np,0,1,2\n", "line 2: 'b' is missing"),
    "one answer": (HEAD + "p,1,0.5,1\nq,0,1,2\nq,1,1,2\n", "prompt 'p' has one answer"),
    "no correct answer": (HEAD + "p,0,0.5,1\np,0,1,2\n", "prompt 'p' has no correct answer"),
    "text in numbers": (HEAD + "p,1,0.5,high\np,0,1,2\n", "line 2: 'b' is 'high', which is no number"),
    "infinite": (HEAD + "p,1,0.5,inf\np,0,1,2\n", "line 2: 'b' is inf, which is no finite number"),
    "half correct": (HEAD + "p,0.5,0.5,1\np,0,1,2\n", "'correct' is 1 or 0, got 0.5"),
    "many columns": ("prompt,correct," + ",".join(map(str, range(10**6))) + "\n", "has 1,000,002 columns"),
    "twice": ("prompt,correct,a,a\n", "its columns 'a' appear twice"),
    "no user": ("prompt,a,b\n", "needs the columns 'prompt' and either 'correct'"),
    "no model": ("prompt,correct\n", "has no column of a model"),
    "short row": (HEAD + "p,1,0.5\n", "line 2: 3 entries, but 4 columns"),
    "apart": (HEAD + "p,1,0,1\np,0,1,2\nq,1,1,2\nq,0,1,1\np,0,1,2\n", "line 6: the rows of prompt 'p' have to follow"),
    "no rows": (HEAD, "has no rows"),
    "empty": ("", "needs the columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_gets_a_sentence(name, tmp_path, capsys):
    content, wanted = BAD[name]
    path = tmp_path / "scores.csv"
    path.write_text(content)
    assert main(["audit", str(path), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert wanted in said
    assert str(path) in said
    assert said.count("\n") == 1


def test_bad_archives_and_arguments(tmp_path):
    path = tmp_path / "scores.npz"
    for arrays, wanted in [
        ({"scores": np.zeros((2, 3, 4))}, "either 'correct' or 'user'"),
        ({"scores": np.zeros((2, 3)), "correct": np.zeros(2)}, "three non-empty axes"),
        ({"scores": np.zeros((2, 3, 4)), "correct": np.zeros(3)}, "'correct' needs shape"),
        ({"scores": np.zeros((2, 3, 4)), "correct": np.full(2, 3)}, "whole numbers from 0 to 2"),
        ({"scores": np.full((2, 3, 4), np.nan), "correct": np.zeros(2)}, "NaN"),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=wanted):
            plx.audit(path)
    np.savez(path, scores=np.zeros((2, 3, 4)), correct=np.zeros(2))
    with pytest.raises(ValueError, match="has no prompt '7'"):
        plx.audit(path, keep=["7"])
    with pytest.raises(ValueError, match="removed must hold whole numbers"):
        plx.audit(path, removed=(-1,))
    with pytest.raises(ValueError, match="baseline"):
        plx.audit(path, baseline="chosen")
    with pytest.raises(FileNotFoundError):
        plx.audit(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="end in"):
        plx.audit(tmp_path / "scores.txt")


def test_the_command_writes_what_it_found(tmp_path, capsys):
    scores, correct = panel(40, models=12)
    np.savez(tmp_path / "scores.npz", scores=scores, correct=correct)
    out = tmp_path / "out"
    words = ["audit", str(tmp_path / "scores.npz"), "--removed", "0,1,4", "--out", str(out), "--quiet"]
    assert main([*words, "--certificate", "3"]) == 0
    said = capsys.readouterr().out
    assert "40 prompts, 12 models" in said
    assert "PROVED" in said
    lines = (out / "prompts.csv").read_text().splitlines()
    assert len(lines) == 41
    data = json.loads((out / "audit.json").read_text())
    assert [share["removed"] for share in data["shares"]] == [0, 1, 4]
    assert sum(int(line.split(",")[2]) >= 4 for line in lines[1:]) == data["shares"][2]["covered"]
    assert (out / "covered.png").stat().st_size > 10_000
    page = (out / "audit.html").read_text()
    assert f"<td>{data['shares'][1]['covered']}</td>" in page
    assert main(["audit", str(tmp_path / "scores.npz"), "--removed", "one"]) == 2
    assert "--removed takes whole numbers" in capsys.readouterr().err


@pytest.mark.slow
def test_a_hundred_prompts_of_the_papers_shape_agree_with_highs(tmp_path):
    scores, correct = panel(100, seed=1, skill=-0.9)
    np.savez(tmp_path / "scores.npz", scores=scores, correct=correct)
    found = plx.audit(tmp_path / "scores.npz", (0, 1))
    # Neither everybody nor nobody survives.
    assert 0 < found.share(0).covered < 100
    for p in range(100):
        prompt = Prompt("", scores[p].T, np.eye(4)[correct[p]], int(correct[p]))
        assert min(int(found.lower[p]), 1) == fewest(prompt, 1) - 1
