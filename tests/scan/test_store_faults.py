"""What is edited, damaged, copied or swapped in a store is found, named, and never an exception nobody meant."""

import json
import os
import random
import shutil

import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from filled import FORMAT_1, contents, fill
from tiny import tiny

from pluraljax._cli import main
from pluraljax._report import _write
from pluraljax._scan import read_manifest, read_table
from pluraljax._scan.config._plan import Block
from pluraljax._scan.store import _manifest
from pluraljax._scan.store._chunk import DamagedChunk
from pluraljax._scan.store._journal import JOURNAL, Journal, read_journal
from pluraljax._scan.store._read import chunk_format
from pluraljax._scan.store._store import Store

READERS = {
    "status": lambda folder: ("status", folder),
    "report": lambda folder: ("report", folder, "--format", "", "--out", f"{folder}-report"),
    "export": lambda folder: ("export", folder, f"{folder}.parquet"),
    "resume": lambda folder: ("resume", folder, "--quiet"),
    "merge": lambda folder: ("merge", folder, "--out", f"{folder}-merged"),
}


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    monkeypatch.setattr(_write, "planned_figures", lambda *_: [])
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled") / "scan"
    fill(folder, tiny())
    for file in sorted((folder / "rows").iterdir()):
        Journal(folder).record(file.name, 48, 0.5, {"host": "x"})
    return folder


@pytest.fixture
def folder(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "scan")
    return tmp_path / "scan"


def command(*arguments):
    return main([str(argument) for argument in arguments])


def edit(file, place, value):
    data = json.loads(file.read_text())
    part = data
    *above, last = place.split(".")
    for key in above:
        part = part[key]
    part[last] = value
    file.write_text(json.dumps(data, indent=2))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("definition.seed", 1),
        ("definition.delta", 0.25),
        ("definition.equilibria", False),
        ("definition.cells", [["gaussian", {"users": 2}]]),
        ("config.seed", 1),
        ("config.delta", 0.25),
        ("config.markets", 200),
        ("config.chunk", 24),
        ("config.grid", [{"family": "opposed"}]),
        ("versions", [{"pluraljax": "0.1.0", "jax": "1.0", "jaxlib": "1.0"}]),
        ("created", "yesterday"),
        ("identity", "0" * 64),
    ],
)
def test_an_edit_of_the_manifest_is_named(folder, place, value, capsys):
    edit(folder / "manifest.json", place, value)
    before = contents(folder)
    for arguments in READERS.values():
        assert command(*arguments(folder)) == 2
        errors = capsys.readouterr().err
        assert f"{folder}/manifest.json: {place} is not what the scan wrote there" in errors
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        ({"definition.seed": 3}, "by the identity definition.seed is not what the scan wrote"),
        ({"config.seed": 3}, "by the identity config.seed is not what the scan wrote"),
        ({"definition.delta": 0.5}, "by the identity definition.delta is not"),
        ({"config.delta": 0.5}, "by the identity config.delta is not"),
        ({"config.delta": 0.5, "definition.delta": 0.5}, "definition (one of seed, delta,"),
        ({"identity": "0" * 64}, "is not that of the scan's identity"),
    ],
)
def test_an_edit_is_named_in_the_first_format_too(tmp_path, edits, wanted, capsys):
    shutil.copytree(FORMAT_1, tmp_path / "old")
    for place, value in edits.items():
        edit(tmp_path / "old" / "manifest.json", place, value)
    for reader in ("status", "report", "export"):
        assert command(*READERS[reader](tmp_path / "old")) == 2
        errors = capsys.readouterr().err
        assert f"{tmp_path}/old/manifest.json: " in errors
        assert wanted in errors


def test_what_a_manifest_lacks_or_has_instead_is_named(folder):
    """Digests are made to fit, so that only the entries themselves can tell."""
    file = folder / "manifest.json"
    whole = json.loads(file.read_text())
    odd = [None, True, -1, 10**30, "x", [], {"a": 1}, [["x"]]]
    names = [(name,) for name in whole] + [(part, name) for part in ("definition", "config") for name in whole[part]]
    optional = {("digests",), ("config", "memory")}
    for above, *below in names:
        for value in ("gone", *odd):
            data = json.loads(json.dumps(whole))
            part, name = (data[above], below[0]) if below else (data, above)
            part[name] = value
            if value == "gone":
                del part[name]
            data.setdefault("digests", {})
            if isinstance(data.get("definition"), dict) and isinstance(data.get("config"), dict):
                data["digests"] = data["digests"] and _manifest._digests(data)
            file.write_text(json.dumps(data))
            if (above, *below) in optional or (above == "created" and value == "x"):
                continue
            if value == whole[above] or (below and value == whole[above].get(name)):
                continue
            with pytest.raises(ValueError, match=f"^{folder}") as caught:
                read_manifest(folder)
            assert caught.type is ValueError


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": "pluraljax scan", "format_version": NaN}',
        b'{"format": "pluraljax scan", "format_version": 1e999}',
        b'{"format": "pluraljax scan", "format_version": [2]}',
        b'{"format": "pluraljax scan", "format_version": 3}',
        b'{"format": "pluraljax scan", "format_version": 2}',
        b'{"format": "pluraljax scan", "format": "pluraljax scan"}',
        b'{"format": "\\ud800"}',
        b"9" * 5000,
        bytes(4096),
    ],
)
def test_a_manifest_that_is_none_is_one_sentence(folder, text, capsys):
    (folder / "manifest.json").write_bytes(text)
    for arguments in READERS.values():
        assert command(*arguments(folder)) == 2
        errors = capsys.readouterr().err
        assert str(folder / "manifest.json") in errors
        assert errors.count("\n") == 1


def test_truncated_manifests_and_what_is_no_file(folder, capsys):
    whole = (folder / "manifest.json").read_bytes()
    for length in range(0, len(whole) - 2, len(whole) // 40):
        (folder / "manifest.json").write_bytes(whole[:length])
        assert command("status", folder) == 2
        assert f"{folder}/manifest.json cannot be read" in capsys.readouterr().err
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    assert command("status", folder) == 2
    assert "manifest.json is no file" in capsys.readouterr().err
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    assert command("status", folder) == 2
    assert "manifest.json is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[]", "it must be an object"),
        ("3", "it must be an object"),
        ("{}", "lacks chunk"),
        ('{"chunk": 3}', "chunk must be a text"),
        ('{"chunk": "a", "markets": "many"}', "markets must be a whole number"),
        ('{"chunk": "a", "markets": 0}', "markets must be a whole number"),
        ('{"chunk": "a", "markets": 3}', "lacks stored"),
        ('{"chunk": "a", "markets": 3, "stored": "soon"}', "stored must be a date"),
        ('{"chunk": "a", "markets": 3, "stored": "2026-01-01T00:00:00+00:00", "seconds": null}', "seconds must be"),
        ('{"chunk": "a", "markets": 3, "stored": "2026-01-01T00:00:00+00:00", "seconds": -1}', "seconds must be"),
    ],
)
def test_a_line_of_the_journal_that_is_no_entry_is_named(folder, line, wanted, capsys):
    number = len(read_journal(folder)) + 1
    with open(folder / JOURNAL, "a") as file:
        file.write(line + "\n")
    before = contents(folder)
    for reader in ("status", "merge"):
        assert command(*READERS[reader](folder)) == 2
        errors = capsys.readouterr().err
        assert f"{folder}/journal.jsonl, line {number}" in errors
        assert wanted in errors
    # Rows do not depend on it.
    assert command(*READERS["export"](folder)) == 0
    assert contents(folder) == before


@pytest.mark.parametrize("torn", [b'{"chunk": "b", "mar', b"\xff\xfe\x00", bytes(512), b"[" * 100_000, b'{"a": NaN}'])
def test_torn_lines_of_the_journal_are_left_out(folder, torn, capsys):
    entries = read_journal(folder)
    with open(folder / JOURNAL, "ab") as file:
        file.write(torn)
    Journal(folder).record(entries[0]["chunk"], 48, 0.5, {"host": "x"})
    assert len(read_journal(folder)) == len(entries) + 1
    assert command("status", folder) == 0


# What may happen to a chunk, given the folder's chunks and a chunk of the same name of another scan.
def truncate(rows, foreign):
    rows[0].write_bytes(rows[0].read_bytes()[:-50])


def empty(rows, foreign):
    rows[0].write_bytes(b"")


def replace(rows, foreign):
    shutil.copy(foreign, rows[0])


def swap(rows, foreign):
    one, other = rows[0].read_bytes(), rows[1].read_bytes()
    rows[0].write_bytes(other)
    rows[1].write_bytes(one)


def copy_over(rows, foreign):
    shutil.copy(rows[0], rows[1])


def rename(rows, foreign):
    rows[0].rename(rows[0].with_name("cell-00000-rows-0000000048-0000000096.parquet"))


def without_note(rows, foreign):
    pq.write_table(pq.read_table(rows[0]).replace_schema_metadata(), rows[0])


def flip(rows, foreign):
    content = bytearray(rows[0].read_bytes())
    content[len(content) // 3] ^= 0xFF
    rows[0].write_bytes(content)


def shortened(rows, foreign):
    table = pq.read_table(rows[0])
    pq.write_table(table.slice(0, 20), rows[0])


HARMS = [truncate, empty, replace, swap, copy_over, rename, without_note, shortened, flip]


@pytest.mark.parametrize("harm", HARMS)
def test_status_counts_no_chunk_that_is_damaged_foreign_copied_or_swapped(folder, tmp_path, harm, capsys):
    before = contents(folder)
    fill(tmp_path / "foreign", tiny(seed=9), limit=1)
    rows = sorted((folder / "rows").iterdir())
    harm(rows, tmp_path / "foreign" / "rows" / rows[0].name)
    assert command("status", folder) == 1
    shown = capsys.readouterr()
    assert "of 400 markets stored" in shown.out
    assert "400 of 400" not in shown.out
    assert "no part of the scan: `pluraljax resume" in shown.err
    for file in contents(folder).keys() & before.keys():
        if contents(folder)[file] != before[file]:
            assert f"{os.path.basename(file)}: " in shown.err
    fill(folder, tiny())
    assert {n: b for n, b in contents(folder).items() if "aside" not in n} == before
    assert command("status", folder) == 0


def test_a_flipped_byte_is_found_or_changes_nothing(folder):
    """Wherever it is: in the rows, in what describes them, or in the footer that other readers go by."""
    chunks, victim = chunk_format(folder, read_manifest(folder)), min((folder / "rows").iterdir())
    content, places = victim.read_bytes(), random.Random(0)
    table, columns = pq.read_table(victim), pq.read_metadata(victim).schema
    passed = 0
    for place in places.sample(range(len(content)), 300):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        victim.write_bytes(flipped)
        try:
            chunks.read(victim)
        except DamagedChunk:
            continue
        passed += 1
        found = pq.read_metadata(victim)
        assert found.schema.equals(columns)
        assert found.to_dict()["row_groups"]
        assert [repr(pq.read_table(victim)[name].to_pylist()) for name in table.column_names] == [
            repr(table[name].to_pylist()) for name in table.column_names
        ]
    assert passed < 30


def altered(path):
    """Other numbers under the metadata of the chunk, in a file that is whole."""
    table = pq.read_table(path)
    place = table.column_names.index("weak_weight")
    values = [[value + 1e-9 for value in row] for row in table.column(place).to_pylist()]
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(values, table.schema[place].type)), path)


def test_rows_are_held_against_their_digest(folder, capsys):
    before, victim = contents(folder), min((folder / "rows").iterdir())
    altered(victim)
    assert command("status", folder, "--quick") == 0
    assert command("status", folder) == 1
    shown = capsys.readouterr()
    assert f"{victim.name}: its rows are not those that were measured: their digest differs" in shown.err
    with pytest.warns(UserWarning, match="digest differs"):
        assert read_table(folder).num_rows == 352
    assert command(*READERS["export"](folder)) == 1
    [aside] = fill(folder, tiny())
    assert aside.name == victim.name
    assert {n: b for n, b in contents(folder).items() if "aside" not in n} == before


def test_what_others_would_read_twice_is_found_and_set_aside(folder, tmp_path, capsys):
    before = contents(folder)
    fill(tmp_path / "other", tiny(chunk=60))
    extra = tmp_path / "other" / "rows" / "cell-00000-rows-0000000060-0000000120.parquet"
    shutil.copy(extra, folder / "rows")
    first = min((folder / "rows").iterdir())
    shutil.copy(first, folder / "rows" / first.name.replace("cell-", "cell-0"))
    (folder / "rows" / "notes.txt").write_text("mine")
    (folder / "rows" / "old").mkdir()
    assert command("status", folder) == 1
    shown = capsys.readouterr()
    assert "400 of 400 markets stored" in shown.out
    assert f"{extra.name}: 36 of its markets are in another file, too" in shown.err
    assert "notes.txt: its name is not that of a chunk" in shown.err
    assert "4 files among the chunks are no part of the scan" in shown.err
    assert len(fill(folder, tiny())) == 4
    assert {n: b for n, b in contents(folder).items() if "aside" not in n} == before
    assert polars.read_parquet(f"{folder}/rows/*.parquet")["market"].sort().to_list() == list(range(400))


def test_whoever_holds_the_rows_of_a_file_that_is_set_aside_keeps_them(folder, tmp_path):
    # 0-48 stays, 40-96 shares eight markets with it, and 48-96, which shares them with that one, stays.
    with Store(tmp_path / "odd", tiny()) as store:
        table = read_table(folder)
        rows = table.filter(pc.equal(table["cell"], 0)).slice(40, 56)
        store.format.write(store._rows, Block(0, 40, 96), rows, store._versions)
    shutil.copy(next((tmp_path / "odd" / "rows").iterdir()), folder / "rows")
    before = {file.name for file in (folder / "rows").iterdir()}
    with Store(folder, tiny()) as store:
        _, [aside] = store.covered()
    assert {file.name for file in (folder / "rows").iterdir()} == before - {aside.name}
    assert read_table(folder).num_rows == 400


def test_a_store_that_was_killed_before_its_rows_is_read(tmp_path, capsys):
    fill(tmp_path / "scan", tiny(), limit=0)
    shutil.rmtree(tmp_path / "scan" / "rows")
    assert command("status", tmp_path / "scan") == 1
    assert "0 of 400 markets stored" in capsys.readouterr().out
    assert command(*READERS["export"](tmp_path / "scan")) == 0
    assert command(*READERS["report"](tmp_path / "scan")) == 2
    assert "no finished rows yet" in capsys.readouterr().err
