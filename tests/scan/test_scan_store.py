"""Stores: a chunk is there and whole or not there at all, and no folder is touched by mistake."""

import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from filled import contents, fill, invented
from tiny import tiny

from pluraljax._scan import FamilyGrid, open_scan, read_manifest, read_table
from pluraljax._scan.config._plan import missing_blocks
from pluraljax._scan.measure._columns import COLUMNS
from pluraljax._scan.store._chunk import ChunkFormat, DamagedChunk
from pluraljax._scan.store._manifest import FORMAT_VERSION
from pluraljax._scan.store._store import Store
from pluraljax._scan.store._versions import versions


@pytest.fixture
def folder(tmp_path):
    fill(tmp_path / "scan", tiny())
    return tmp_path / "scan"


def test_rows_come_back_sorted_and_typed(folder):
    table = read_table(folder)
    assert table.column("market").to_pylist() == list(range(400))
    assert table.column("cell").to_pylist() == [number % 3 for number in range(400)]
    assert table.column("family")[2].as_py() == "opposed"
    assert table.column("shared").slice(0, 3).to_pylist() == [0.0, 1.0, None]
    assert table.column("aligned")[7].as_py() == pytest.approx([7.01, 7.11])
    manifest = read_manifest(folder)
    assert manifest.config == tiny().to_mapping()
    assert manifest.columns == COLUMNS


def test_a_dataset_has_labels_units_and_padding(tmp_path):
    config = tiny(grid=(FamilyGrid("gaussian", {"users": 1}), FamilyGrid("spatial", {"users": 3})), markets=20)
    with Store(tmp_path, config) as store:
        for block in missing_blocks(config, store.chunk, {}):
            store.write(block, invented(block, 2, users=1 if block.cell == 0 else 3))
    dataset = open_scan(tmp_path)
    assert dict(dataset.sizes) == {"market": 20, "user": 3}
    np.testing.assert_array_equal(np.isnan(dataset.aligned[0]), [False, True, True])
    np.testing.assert_allclose(dataset.aligned[1], [1.01, 1.11, 1.21])
    assert dataset.aligned.attrs["units"] == "utility"
    assert dataset.status.dtype == np.int8
    assert dataset.family.values.tolist() == ["gaussian", "spatial"] * 10
    assert np.isnan(dataset.dimension[0])
    assert dataset.dimension[1] == 2
    assert dataset.bias.values[:2].tolist() == ["", "absolute"]
    assert dataset.attrs["identity"] == config.identity


def test_plain_parquet_readers_open_the_rows(folder):
    table = pq.read_table(folder / "rows")
    assert table.num_rows == 400
    note = json.loads(pq.read_schema(next((folder / "rows").iterdir())).metadata[b"pluraljax"])
    assert note["identity"] == tiny().identity
    assert (note["format"], note["seed"], note["cell"], note["stop"] - note["start"]) == (2, 0, note["cell"], 48)
    assert note["versions"] == versions()
    assert {"pluraljax", "jax", "jaxlib", "numpy", "scipy"} == note["versions"].keys()
    assert len(note["digest"]) == 64


def test_an_unfinished_scan_opens_and_an_empty_one_too(tmp_path):
    fill(tmp_path / "part", tiny(), limit=2)
    assert open_scan(tmp_path / "part").sizes["market"] == 96
    fill(tmp_path / "none", tiny(), limit=0)
    assert dict(open_scan(tmp_path / "none").sizes) == {"market": 0, "user": 0}


def test_a_rerun_changes_nothing_and_an_extension_only_adds(folder):
    before = contents(folder)
    assert fill(folder, tiny()) == []
    assert contents(folder) == before
    fill(folder, tiny(markets=500, chunk=7))
    after = contents(folder)
    assert {name: after[name] for name in before if "rows" in name} == {n: b for n, b in before.items() if "rows" in n}
    assert read_table(folder).column("market").to_pylist() == list(range(500))
    assert read_manifest(folder).markets == 500
    # What is there stays there, and its chunk size goes on.
    fill(folder, tiny(markets=10))
    assert read_manifest(folder).config == tiny(markets=500).to_mapping()


def test_a_scan_that_is_extended_keeps_the_chunk_size_that_was_chosen(tmp_path):
    automatic = lambda markets: tiny(chunk="auto", markets=markets)
    for markets in (400, 4000):
        with Store(tmp_path / "scan", automatic(markets)) as store:
            assert store.chunk == 256
    assert read_manifest(tmp_path / "scan").config["chunk"] == 256
    assert automatic(4000).rows_per_chunk == 2048


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def swap(path):
    other = max(path.parent.iterdir())
    path.write_bytes(other.read_bytes())


def foreign(path):
    elsewhere = path.parent.parent.parent / "elsewhere"
    fill(elsewhere, tiny(seed=9))
    shutil.copy(elsewhere / "rows" / path.name, path)


def plain(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path)


@pytest.mark.parametrize("harm", [truncate, empty, flip, swap, foreign, plain])
def test_a_damaged_chunk_is_reported_set_aside_and_redone(folder, harm):
    before = contents(folder)
    victim = min((folder / "rows").iterdir())
    harm(victim)
    harmed = victim.read_bytes()
    assert harmed != before[f"rows/{victim.name}"]
    with pytest.warns(UserWarning, match=victim.name):
        assert read_table(folder).num_rows == 400 - 48
    [aside] = fill(folder, tiny())
    assert aside.name == victim.name
    after = contents(folder)
    assert after.pop(f"set-aside/{victim.name}.1") == harmed
    assert after == before


def test_no_flipped_bit_gets_through(folder, tmp_path):
    path = min((folder / "rows").iterdir())
    config = tiny()
    chunks = ChunkFormat(config.identity, config.seed, config.cells, COLUMNS, FORMAT_VERSION)
    data = path.read_bytes()
    good = chunks.read(path)
    copy = tmp_path / path.name
    random = np.random.default_rng(0)
    found = 0
    for place in random.choice(len(data), 300, replace=False):
        altered = bytearray(data)
        altered[place] ^= 1 << random.integers(8)
        copy.write_bytes(altered)
        try:
            # What a reader does not look at, such as the name of the writing program, may differ.
            assert chunks.read(copy) == good
        except DamagedChunk:
            found += 1
    assert found > 200


def test_files_that_are_no_chunks_are_set_aside(folder):
    (folder / "rows" / "notes.parquet").write_text("mine")
    [aside] = fill(folder, tiny())
    assert aside.reason == "its name is not that of a chunk"
    assert (folder / "set-aside" / "notes.parquet.1").read_text() == "mine"


def test_overlapping_chunks_count_once(folder, tmp_path):
    config = tiny(chunk=60)
    fill(tmp_path / "other", config)
    for file in (tmp_path / "other" / "rows").iterdir():
        shutil.copy(file, folder / "rows")
    assert read_table(folder).equals(read_table(tmp_path / "other"))


def test_a_failed_write_leaves_nothing(folder, monkeypatch):
    before = contents(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    with Store(folder, tiny(markets=600)) as store:
        [block, *_] = missing_blocks(tiny(markets=600), 48, store.covered()[0])
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.write(block, invented(block, 3))
    monkeypatch.undo()
    after = contents(folder)
    assert {name for name in after if "rows" in name} == {name for name in before if "rows" in name}


def test_leftover_temporaries_are_removed(folder):
    leftover = folder / "rows" / ".pluraljax-0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    fill(folder, tiny())
    assert not leftover.exists()


@pytest.mark.parametrize("wrong", ["short", "float32", "missing", "scalar"])
def test_rows_that_do_not_fit_the_schema_are_refused(folder, wrong):
    with Store(folder, tiny(markets=600)) as store:
        [block, *_] = missing_blocks(tiny(markets=600), 48, store.covered()[0])
        rows = invented(block, 3)
        match wrong:
            case "short":
                rows["status"] = rows["status"][:-1]
            case "float32":
                rows["aligned"] = rows["aligned"].astype(np.float32)
            case "missing":
                del rows["silent"]
            case "scalar":
                rows["aligned"] = rows["aligned"][:, 0]
        before = contents(folder)
        with pytest.raises(ValueError, match="column"):
            store.write(block, rows)
        assert contents(folder) == before


class TestRefusals:
    """Each says what is wrong, and leaves everything as it was."""

    def refused(self, path, config, wanted):
        parent = path.parent
        before = contents(parent)
        with pytest.raises(ValueError, match=wanted):
            Store(path, config)
        assert contents(parent) == before

    def test_foreign_folder(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("...")
        self.refused(tmp_path / "mine", tiny(), r"holds other files \('thesis.tex'\) and no scan")

    def test_foreign_manifest(self, tmp_path):
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "manifest.json").write_text('{"name": "app"}')
        self.refused(tmp_path / "app", tiny(), "is not the manifest of a scan")
        (tmp_path / "app" / "manifest.json").write_text("{")
        self.refused(tmp_path / "app", tiny(), "cannot be read")

    def test_file_in_place_of_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("...")
        self.refused(tmp_path / "file", tiny(), "is a file; a scan needs a folder")
        self.refused(tmp_path / "file" / "below", tiny(), "cannot be written to")

    def test_folder_that_cannot_be_written(self, tmp_path, monkeypatch):
        # Modes do not bind root, so the system's answer is played.
        def refuse(*args, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pluraljax._scan.store._store._Lock", refuse)
        self.refused(tmp_path / "scan", tiny(), r"cannot be written to \(Permission denied\)")

    def test_another_config(self, folder):
        self.refused(folder, tiny(seed=1), r"another seed \(0 there, 1 here\)")
        self.refused(folder, tiny(delta=0.5), r"another delta \(0.0 there, 0.5 here\)")
        self.refused(folder, tiny(grid=tiny().grid[:1]), r"another grid \(3 cells there, 2 here\)")

    @pytest.mark.parametrize("what", ["rows/another.parquet", "set-aside/x.1", "report/report.html", "notes.txt"])
    def test_another_config_beside_anything_of_value(self, tmp_path, what):
        Store(tmp_path / "scan", tiny(seed=1)).close()
        (tmp_path / "scan" / what).parent.mkdir(exist_ok=True)
        (tmp_path / "scan" / what).write_text("mine")
        self.refused(tmp_path / "scan", tiny(), r"another seed \(1 there, 0 here\)")
        (tmp_path / "scan" / what).unlink()

    def test_another_config_beside_a_journal(self, tmp_path):
        Store(tmp_path / "scan", tiny(seed=1)).close()
        (tmp_path / "scan" / "journal.jsonl").write_text("x")
        self.refused(tmp_path / "scan", tiny(), "another seed")

    def test_another_config_that_is_about_to_measure(self, tmp_path):
        with Store(tmp_path / "scan", tiny(seed=1)):
            self.refused(tmp_path / "scan", tiny(), "being written to by another scan")
        assert read_manifest(tmp_path / "scan").config["seed"] == 1

    def test_another_config_where_nobody_knows_who_is_about_to_measure(self, tmp_path, monkeypatch):
        Store(tmp_path / "scan", tiny(seed=1)).close()
        monkeypatch.setattr("pluraljax._scan.store._store.fcntl", None)
        self.refused(tmp_path / "scan", tiny(), "another seed")

    def test_a_second_writer(self, folder):
        with Store(folder, tiny()):
            self.refused(folder, tiny(), rf"being written to by another scan \(process {os.getpid()}\)")
        Store(folder, tiny()).close()


def test_a_scan_that_measured_nothing_makes_way(tmp_path):
    Store(tmp_path, tiny(seed=1, markets=900)).close()
    (tmp_path / "rows" / ".pluraljax-0123456789abcdef.tmp").write_bytes(b"half a chunk")
    fill(tmp_path, tiny())
    assert read_manifest(tmp_path).config == tiny().to_mapping()
    assert read_table(tmp_path).num_rows == 400


def test_reading_where_there_is_no_scan(tmp_path):
    with pytest.raises(ValueError, match="holds no scan"):
        open_scan(tmp_path)
