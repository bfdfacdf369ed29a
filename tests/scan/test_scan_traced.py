"""What is kept of a traced programme: used again where nothing changed, and only there."""

import contextlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import pluraljax as plx
from pluraljax._compiling import _cache, _programmes, _traced
from pluraljax._scan.engine import _batch
from pluraljax._scan.measure import _conditions_rows
from pluraljax._scan.measure._columns import CONDITIONS
from pluraljax._scan.measure._measurement import Measurement

SPEC = (jax.ShapeDtypeStruct((3,), jnp.float32),)
VALUES = np.arange(3, dtype=np.float32)


@pytest.fixture
def kept(tmp_path):
    """A folder for compiled code of its own; gives what is kept there."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield lambda: sorted((tmp_path / "pluraljax-traced").glob("*"))
    jax.config.update("jax_compilation_cache_dir", before)


class Counted:
    """A programme that says how often it was traced."""

    def __init__(self, factor=2.0):
        self.traces, self.factor = 0, factor

    def __call__(self, values):
        self.traces += 1
        return {"times": values * jnp.asarray(self.factor, values.dtype)}


def lower(program, *key, spec=SPEC):
    """Lowers, and checks what comes out; returns how often the programme was traced for that."""
    before = program.traces
    # A function of its own, which JAX cannot know from before.
    lowered = _traced.lower(lambda values: program(values), spec, *key)
    traces = program.traces - before
    folder = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        compiled = lowered.compile()
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
    values = VALUES.astype(spec[0].dtype)
    np.testing.assert_array_equal(compiled(values)["times"], values * program.factor)
    return traces


def test_it_is_traced_once_per_key_shape_and_setting(kept):
    program = Counted()
    assert [lower(program, "one", 2), lower(program, "one", 2)] == [1, 0]
    assert lower(program, "one", 3) == 1
    assert lower(program, "one", 2.0) == 1
    assert lower(program, "one", _conditions_rows.measure) == 1
    assert lower(program, "one", 2, spec=(jax.ShapeDtypeStruct((3,), jnp.int32),)) == 1
    with jax.numpy_dtype_promotion("standard"):
        assert lower(program, "one", 2) == 1
    assert len(kept()) == 6
    assert [lower(program, "one", 2), lower(program, "one", _conditions_rows.measure)] == [0, 0]


def test_another_source_or_version_is_traced_again(kept, monkeypatch):
    program = Counted()
    assert lower(program, "one") == 1
    source, *versions = _traced._identity()
    assert len(source) == 64
    assert versions[0] == jax.__version__
    monkeypatch.setattr(_traced, "_identity", lambda: ("other", *versions))
    assert lower(program, "one") == 1


def test_functions_and_types_of_others_are_not_kept(kept):
    program = Counted()
    for stranger in (lower, Counted, Counted(), lambda: None, np.float64(1)):
        assert [lower(program, stranger), lower(program, stranger)] == [1, 1]
    assert kept() == []


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other text"])
def test_a_damaged_file_is_replaced(kept, damage, caplog):
    program = Counted()
    lower(program, "one")
    [file] = kept()
    whole = file.read_bytes()
    flipped = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    file.write_bytes({"cut": whole[:-7], "bit": flipped, "empty": b"", "other text": b"no such thing" * 9}[damage])
    assert lower(program, "one") == 1
    assert "is dropped, and made again: it is not what was kept" in caplog.text
    assert kept() == [file]
    assert lower(program, "one") == 0


def test_exchanged_files_are_replaced(kept, caplog):
    """Both are whole, and of one shape: only the seal tells one from the other."""
    programs = {"one": Counted(2.0), "two": Counted(3.0)}
    for key, program in programs.items():
        assert lower(program, key) == 1
    one, two = kept()
    contents = one.read_bytes(), two.read_bytes()
    one.write_bytes(contents[1])
    two.write_bytes(contents[0])
    for key, program in programs.items():
        assert lower(program, key) == 1
    assert lower(program, key) == 0
    assert "is dropped" in caplog.text


@pytest.mark.parametrize("forged", ["no programme", "for other arguments"])
def test_a_forged_file_is_replaced(kept, tmp_path, forged, caplog):
    """Its seal is right, but it holds no programme that takes the arguments."""
    program = Counted()
    lower(program, "one")
    [file] = kept()
    spec = (jax.ShapeDtypeStruct((7,), jnp.int32),)
    content = bytes(jax.export.export(jax.jit(lambda values: values))(*spec).serialize())
    key = _traced.text_of(("one",), SPEC)
    assert _traced.hashlib.sha256(key.encode()).hexdigest() == file.name
    _traced.Kept(file.parent).write(file.name, key, content if forged == "for other arguments" else b"x" * 300)
    assert lower(program, "one") == 1
    assert "no programme can be made of it" in caplog.text
    assert lower(program, "one") == 0


def test_without_a_folder_or_room_it_is_traced_each_time(kept, tmp_path):
    (tmp_path / "pluraljax-traced").write_text("in the way")
    program = Counted()
    assert [lower(program, "one"), lower(program, "one")] == [1, 1]
    for folder in (None, "", "gs://bucket/cache"):
        jax.config.update("jax_compilation_cache_dir", folder)
        assert [lower(program, "one"), lower(program, "one")] == [1, 1]


def test_what_cannot_be_written_down_is_lowered_as_it_is(kept, monkeypatch):
    def refuse(*_):
        raise ValueError("not guaranteed to be stable")

    monkeypatch.setattr(_traced.export, "export", lambda function: refuse)
    program = Counted()
    assert [lower(program, "one"), lower(program, "one")] == [1, 1]
    assert kept() == []


def test_options_that_xla_does_not_know_are_left_out():
    lowered = jax.jit(lambda values: values + values).lower(*SPEC)
    with pytest.raises(jax.errors.JaxRuntimeError):
        lowered.compile(compiler_options={"xla_no_such_option": True})
    for options in ({}, {"xla_backend_optimization_level": 0}, {"xla_no_such_option": True}):
        np.testing.assert_array_equal(_traced.compile_with(lowered, options)(VALUES), VALUES + VALUES)


def test_a_scan_s_draws_come_from_what_is_kept(kept, monkeypatch):
    """The programme that a scan runs, over two devices, gives the same markets."""
    family = plx.families.gaussian(providers=2, users=2, actions=2, states=2)
    layout = _batch.Layout.of(100, jax.local_devices())
    padded, counts, places = layout.deal(np.arange(100))
    put = lambda array: jax.device_put(array, layout.sharding)
    root = np.asarray(jax.random.key_data(jax.random.key(0, impl="threefry2x32")))

    def draw(providers=3):
        # As a process of its own would: what is in memory is not used, and nothing compiled is kept.
        with monkeypatch.context() as patched:
            lowered = []
            take = lambda layout, program, given, key, options: lowered.append(_traced.lower(program, given, *key))
            patched.setattr(_batch, "_compile", take)
            _batch._compile_draw.__wrapped__(layout, family, providers)
        return lowered[0]

    # With more twins the same family has another programme.
    assert draw(providers=4).out_info[2].shape == (layout.size, 4, 2, 2, 2)
    first = draw()
    assert first.out_info[2].shape == (layout.size, 3, 2, 2, 2)
    monkeypatch.setattr(type(family), "__call__", lambda *_: pytest.fail("traced again"))
    second = draw()
    assert len(kept()) == 2
    jax.config.update("jax_compilation_cache_dir", None)
    one, other = (each.compile()(root, put(padded), put(counts)) for each in (first, second))
    for left, right in zip(one, other, strict=True):
        assert left.dtype == jnp.float64
        np.testing.assert_array_equal(np.asarray(left)[places], np.asarray(right)[places])
    monkeypatch.undo()
    market = family(jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 7))
    np.testing.assert_array_equal(np.asarray(one[1])[places[7]], market.user_value)


def test_what_measures_is_kept(kept, x64):
    """With all that a measurement may ask for: markets with twins, a key, columns of others."""

    class Asking(Measurement):
        columns = needs = ()
        twins = draws = True

    layout = _batch.Layout.of(64, jax.local_devices())
    wide = tuple((axes, "float64") for axes in ((2, 1, 2, 2), (2, 2, 2), (3, 2, 2, 2), (2,)))
    arguments = _batch.arguments_of(layout, wide, Asking(), CONDITIONS[:3])
    leaves = jax.tree.leaves(arguments)
    assert [leaf.shape for leaf in leaves[:2]] == [(2,), (layout.size, 2, 1, 2, 2)]
    assert len(leaves) == 1 + 4 + 1 + 1 + 3 + 1
    for _ in range(2):
        _traced.lower(lambda root, rows, counts: rows[0][0] + rows[3]["aligned"][0, 0], arguments, "one")
    assert len(kept()) == 1


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A process in which nobody has set up JAX's own cache, as when a scan is called from Python."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()  # which would go on in the folder that it began with
    monkeypatch.setattr(_programmes, "user_folder", lambda name: tmp_path / name)
    yield tmp_path / _programmes.FOLDER
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


def test_a_library_call_keeps_its_programmes_without_jax_s_cache(library, monkeypatch):
    """The next process neither traces nor compiles them; over two devices they give the same markets."""
    family = plx.families.gaussian(providers=2, users=2, actions=2, states=2)
    layout = _batch.Layout.of(100, jax.local_devices())
    padded, counts, _ = layout.deal(np.arange(100))
    put = lambda array: jax.device_put(array, layout.sharding)
    root = np.asarray(jax.random.key_data(jax.random.key(0, impl="threefry2x32")))
    draw = lambda providers=2: _batch._compile_draw.__wrapped__(layout, family, providers)
    first = draw()(root, put(padded), put(counts))
    (file,) = library.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(_programmes, "lower", lambda *_: pytest.fail("traced again"))
        second = draw()(root, put(padded), put(counts))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    draw(providers=3)
    assert len(list(library.iterdir())) == 2
    file.write_bytes(file.read_bytes()[:-1])
    third = draw()(root, put(padded), put(counts))
    np.testing.assert_array_equal(first[1], third[1])


SHARED = """
import sys
import jax
import pluraljax as plx
from pluraljax._compiling import _prepare, _programmes
from pluraljax._scan.engine import _batch

if sys.argv[1] == "command":
    _prepare.num_cores = lambda: 1
    _prepare.prepare_jax()
else:
    jax.config.update("jax_enable_x64", True)
lower, traced = _programmes.lower, []
_programmes.lower = lambda *given: traced.append(given) or lower(*given)
layout = _batch.Layout.of(8, jax.local_devices())
_batch._compile_draw(layout, plx.families.gaussian(providers=2, users=2, actions=2, states=2), 2)
print(len(layout.devices), len(traced))
"""


@pytest.mark.parametrize("order", [("command", "python"), ("python", "command")])
def test_a_command_and_python_share_what_is_compiled(tmp_path, order):
    """On as many devices, whatever JAX is set to besides; JAX's own files hold nothing of it."""
    cleared = ("JAX_COMPILATION_CACHE_DIR", "PLURALJAX_NO_CACHE", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in cleared}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    said = []
    for mode in order:
        command = [sys.executable, "-c", SHARED, mode]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert said == ["1 1\n", "1 0\n"]
    (programme,) = tmp_path.glob(f"pluraljax/*/{_programmes.FOLDER}/*")
    assert programme.stat().st_size > 0
    assert not any("draw" in file.name for file in tmp_path.glob(f"pluraljax/*/{_cache.FOLDER}/*"))


def test_where_jax_keeps_what_is_compiled_nothing_is_kept_twice(kept, monkeypatch):
    monkeypatch.setattr(_cache, "_sealed", [])
    monkeypatch.setattr(_programmes, "user_folder", lambda name: pytest.fail("kept twice"))
    layout = _batch.Layout.of(8, jax.local_devices()[:1])
    _batch._compile_draw.__wrapped__(layout, plx.families.gaussian(providers=2, users=2, actions=2, states=2), 2)


def test_what_jax_had_in_its_cache_is_not_kept_again(library, monkeypatch):
    """Loaded code lacks what writing it down needs: it would be a file that does not run."""

    @contextlib.contextmanager
    def hit():
        yield ["hit"]

    monkeypatch.setattr(_programmes, "counting_hits", hit)
    layout = _batch.Layout.of(8, jax.local_devices()[:1])
    _batch._compile_draw.__wrapped__(layout, plx.families.gaussian(providers=2, users=2, actions=2, states=2), 2)
    assert not library.exists()
