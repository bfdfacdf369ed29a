"""`pluraljax report`, on stores written by the store itself."""

import subprocess
import sys

import jax.random as jr
import numpy as np
import pytest
from matplotlib.figure import Figure

import pluraljax as plx
from pluraljax._cli import main
from pluraljax._report import _figures
from pluraljax._scan import FamilyGrid, ScanConfig
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS, SEARCHED
from pluraljax._scan.store._store import Store
from pluraljax._status import Status

FIGURES = [
    f"{name}.{end}" for name in ("alignment", "guarantee", "equilibria", "personalization") for end in ("png", "svg")
]


def _measured(size, users):
    numbers = {"aligned": 1.0, "silent": 0.0, "personalized_guarantee": 0.8, "anonymous_guarantee": 0.4}
    rows = {}
    numbers["anonymous_searched"] = np.nan
    for column in COLUMNS:
        shape = (size, users) if column.axis == "user" else (size,)
        if column.kind == "value":
            name = column.name.removesuffix("_lower").removesuffix("_upper")
            rows[column.name] = np.full(shape, numbers.get(name, 0.25))
        elif column in SEARCHED:
            rows[column.name] = np.full(shape, -1, np.int8)
        else:
            rows[column.name] = np.full(shape, column.name.endswith("_theorem"), np.int8)
    return rows


def _write_store(path, blocks=None):
    grid = (
        FamilyGrid("spatial", {"providers": [1, 2], "users": 2, "bias": ["absolute", "relative"]}),
        FamilyGrid("opposed", {"providers": 2, "users": 2, "scales": [[[1, -3], [-3, 1]]]}),
    )
    config = ScanConfig(grid=grid, markets=100, seed=5, chunk=8)
    with Store(path, config) as store:
        for block in list(missing_blocks(config, config.rows_per_chunk, {}))[:blocks]:
            store.write(block, _measured(len(block), 2))
    return path


def plain(key):
    """A family without parameters: one cell."""
    return plx.observed_market(jr.normal(key, (2, 3, 3)), jr.normal(jr.fold_in(key, 1), (2, 2, 3, 3)))


def _write_plain_store(path, **numbers):
    config = ScanConfig(grid=(FamilyGrid(plain),), markets=24, chunk=8)
    with Store(path, config) as store:
        for block in missing_blocks(config, 8, {}):
            rows = _measured(len(block), 2)
            store.write(block, rows | {name: np.full_like(rows[name], value) for name, value in numbers.items()})
    return path


def test_a_family_without_parameters_is_reported_and_drawn(tmp_path, capsys):
    path = _write_plain_store(tmp_path / "scan")
    assert main(["report", str(path)]) == 0
    out = capsys.readouterr().out
    assert "24 markets in 1 cell: test report command:plain\n" in out
    assert any(line.split()[:2] == ["only", "24"] for line in out.splitlines())
    assert {path.name for path in (path / "report").iterdir()} >= set(FIGURES)
    ax = Figure().subplots()
    plx.plot.alignment(ax, path)
    assert ([tick.get_text() for tick in ax.get_xticklabels()], ax.get_xlabel()) == (["only"], "cell")
    assert plx.plot.panels(path) == [{"family": "test_report_command:plain"}]


def test_rows_without_a_market_are_no_answer(tmp_path, capsys):
    path = _write_plain_store(tmp_path / "scan", status=Status.NEGATIVE_PRIOR)
    assert main(["report", str(path), "--format", ""]) == 1
    out, heard = capsys.readouterr()
    assert "pluraljax report: None of 24 rows holds a valid market" in heard
    assert out.startswith("None of 24 rows holds a valid market, mostly because of NEGATIVE_PRIOR: A prior\n")
    assert "status NEGATIVE_PRIOR: 24 of 24 markets" in out


def test_a_mistake_in_a_figure_takes_no_answer_and_no_other_figure(store, capsys, monkeypatch):
    def broken(*_):
        raise KeyError("providers")

    monkeypatch.setattr(_figures, "alignment_figure", broken)
    assert main(["report", str(store)]) == 0
    out, error = capsys.readouterr()
    assert "100 markets in 5 cells" in out
    assert error.count("warning:") == 1
    assert "the figure alignment could not be drawn (KeyError: 'providers')" in error
    drawn = {path.name for path in (store / "report").iterdir()}
    assert {name for name in FIGURES if name not in drawn} == {"alignment.png", "alignment.svg"}


@pytest.fixture
def store(tmp_path):
    return _write_store(tmp_path / "scan")


def test_report_prints_the_table_and_names_its_files(store, capsys):
    assert main(["report", str(store)]) == 0
    out = capsys.readouterr().out
    assert "100 markets in 5 cells: spatial, opposed\n" in out
    assert "seed 5, equilibria within delta = 0\n" in out
    assert "2 20 0.8000 ± 0.0000 0.4000 ± 0.0000" in " ".join(out.split())
    assert "scales [[1.0, -3.0], [-3.0, 1.0]]" in " ".join(out.split())
    written = sorted(path.name for path in (store / "report").iterdir())
    assert written == sorted([*FIGURES, "report.html", "report.txt", "summary.csv"])
    for name in written:
        assert f"wrote {store / 'report' / name}\n" in out
    assert out.startswith((store / "report" / "report.txt").read_text(encoding="utf-8"))


def test_a_rerun_changes_no_byte_and_leaves_the_store_alone(store, tmp_path, capsys):
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for out in ("a", "b"):
        assert main(["report", str(store), "--out", str(tmp_path / out), "--format", "svg"]) == 0
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / out).iterdir()} for out in ("a", "b"))
    assert first == second
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_formats_and_confidence_are_followed(store, capsys):
    assert main(["report", str(store), "--format", "pdf", "--confidence", "0.999"]) == 0
    names = {path.name for path in (store / "report").iterdir()}
    assert names == {
        "report.html",
        "report.txt",
        "summary.csv",
        "alignment.pdf",
        "guarantee.pdf",
        "equilibria.pdf",
        "personalization.pdf",
    }
    assert "99.9 % Clopper-Pearson" in capsys.readouterr().out


def test_an_unfinished_scan_says_so(tmp_path, capsys):
    path = _write_store(tmp_path / "scan", blocks=3)
    assert main(["report", str(path), "--format", ""]) == 0
    assert "unfinished: 24 of 100 markets" in capsys.readouterr().out


def test_damaged_chunks_are_named(store, capsys):
    victim = sorted((store / "rows").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-100])
    assert main(["report", str(store), "--format", ""]) == 0
    captured = capsys.readouterr()
    assert "unfinished: 92 of 100 markets" in captured.out
    assert f"warning: {store}: 1 chunk files left out" in captured.err
    assert victim.name in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--confidence", "95"], "confidence must lie strictly between 0 and 1, such as 0.95, got 95.0"),
        (["--format", "png,jpg"], "Unknown figure format jpg; choose from png, svg, pdf"),
    ],
)
def test_bad_options_are_explained(store, capsys, options, message):
    assert main(["report", str(store), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (store / "report").exists()


def test_a_directory_without_a_scan_is_named(tmp_path, capsys):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "manifest.json").write_text('{"name": "something else"}')
    for name in ("missing", "foreign"):
        assert main(["report", str(tmp_path / name)]) == 2
        assert str(tmp_path / name) in capsys.readouterr().err
    assert not (tmp_path / "missing").exists()
    assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["manifest.json"]


def test_a_scan_without_rows_asks_for_some(tmp_path, capsys):
    path = _write_store(tmp_path / "scan", blocks=0)
    assert main(["report", str(path)]) == 2
    assert f"{path} holds a scan, but no finished rows yet" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(store, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["report", str(store), "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_reports_need_no_jax_and_help_needs_nothing_heavy(store):
    script = (
        "import sys; from pluraljax._cli import main; from pluraljax._cli._parser import build_parser; build_parser();"
        "heavy = {'jax', 'matplotlib', 'pyarrow', 'numpy', 'rich'} & set(sys.modules); assert not heavy, heavy;"
        f"assert main(['report', {str(store)!r}, '--format', 'svg']) == 0;"
        "heavy = {'jax', 'matplotlib.pyplot'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_report_replaces_what_it_wrote_and_follows_no_link(store, tmp_path, capsys):
    (victim := tmp_path / "victim").write_text("precious")
    (out := store / "report").mkdir()
    names = ("report.txt", "summary.csv", "report.html", "alignment.svg")
    for name in names:
        (out / name).symlink_to(victim)
    (out / ".pluraljax-0123456789abcdef.tmp").write_text("half")
    assert main(["report", str(store), "--format", "svg"]) == 0
    assert victim.read_text() == "precious"
    assert not any((out / name).is_symlink() for name in names)
    assert not any(path.name.startswith(".") for path in out.iterdir())
