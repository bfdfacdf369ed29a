"""A scan says of itself what its family's file says: a file that has changed since it was loaded is refused."""

import importlib
import sys
import textwrap

import pytest

import pluraljax as plx

TEXT = """
from dataclasses import dataclass

import jax.random as jr

import pluraljax as plx
from {beside} import SPREAD

# Of no importance.
SCALE: float = 1.0


@dataclass(frozen=True)
class Noise:
    size: int = 2

    @property
    def actions(self):
        return self.size

    @staticmethod
    def _noise(key, shape):
        return SCALE * SPREAD * jr.normal(key, shape)

    def __call__(self, key):
        own, others = jr.split(key)
        return plx.observed_market(self._noise(own, (1, self.size, 2)), self._noise(others, (2, 1, self.size, 2)))
"""


@pytest.fixture
def own(tmp_path, monkeypatch, request):
    """A module in a file, one beside it that it imports, and both of their files."""
    name = f"own_{abs(hash(request.node.name))}"
    file, beside = tmp_path / f"{name}.py", tmp_path / f"{name}_beside.py"
    file.write_text(TEXT.format(beside=beside.stem))
    beside.write_text("SPREAD = 2.0\n\n\ndef twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # as in containers: no compiled file tells when it was read
    importlib.invalidate_caches()
    yield importlib.import_module(name), file, beside
    for loaded in (name, beside.stem):
        sys.modules.pop(loaded, None)


def scan(module, tmp_path):
    return plx.scan(module.Noise(), tmp_path / "scan", markets=4, progress=False)


@pytest.mark.parametrize(
    ("was", "new"),
    [
        pytest.param("SCALE * SPREAD *", "3 * SCALE *", id="a static method"),
        pytest.param("return self.size", "return int(self.size)", id="a property"),
        pytest.param("SCALE: float = 1.0", "SCALE: float = 1", id="a constant"),
        pytest.param("# Of no importance.\n", "", id="lines that moved"),
    ],
)
def test_a_file_that_changed_before_its_first_scan_is_refused(own, tmp_path, was, new):
    module, file, _ = own
    file.write_text(file.read_text().replace(was, new))
    with pytest.raises(ValueError, match=rf"{file.name} has changed since it was loaded"):
        scan(module, tmp_path)
    assert not (tmp_path / "scan").exists()


@pytest.mark.parametrize(("was", "new"), [("2.0", "2.5"), ("2 * x", "3 * x")])
def test_so_is_one_that_imports_a_file_that_changed(own, tmp_path, was, new):
    module, _, beside = own
    beside.write_text(beside.read_text().replace(was, new))
    with pytest.raises(ValueError, match=rf"{beside.name} has changed since it was loaded"):
        scan(module, tmp_path)


def test_what_is_loaded_again_is_scanned(own, tmp_path):
    module, file, _ = own
    file.write_text(textwrap.dedent(file.read_text().replace("SCALE: float = 1.0", "SCALE: float = 1.5")))
    assert scan(importlib.reload(module), tmp_path).sizes["market"] == 4


def test_what_a_program_counts_itself_is_no_change(own, tmp_path):
    module, file, _ = own
    file.write_text(file.read_text() + "\nCOUNT = 0\n\n\ndef count():\n    global COUNT\n    COUNT += 1\n")
    module = importlib.reload(module)
    module.count()
    assert scan(module, tmp_path).sizes["market"] == 4
