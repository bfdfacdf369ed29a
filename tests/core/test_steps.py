"""Steps of eager calls are compiled once and kept for other processes: the same numbers, and nothing unsafe."""

import functools
import hashlib
import os
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pluraljax as plx
from pluraljax._compiling import _eager, _serialized, _traced
from pluraljax._compiling._quiet import without_noise
from pluraljax._precision import in_float64

MARKET = plx.families.gaussian(providers=2, users=2, actions=2, states=3)(3)
QUESTIONS = {
    "weak": plx.weak_alignment,
    "free scales": functools.partial(plx.strong_alignment, scale="free"),
    "guarantee": lambda market: plx.guarantee(market, plx.anonymous(2), 0.01),
}


@in_float64
def doubled(value):
    return 2 * value


@in_float64
def called_back(value):
    return jax.pure_callback(lambda x: np.asarray(x) + 1, jax.ShapeDtypeStruct(value.shape, value.dtype), value)


@in_float64
def with_words(value, word):
    return {"value": value + 1, "word": word.upper(), "nothing": None}


@in_float64
def drawn(keys, scale):
    return scale * jax.random.normal(keys if keys.ndim == 0 else keys[1], (3,))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of its own, of which JAX's knows nothing; what other tests compiled is forgotten."""
    monkeypatch.setattr(_eager, "user_folder", lambda name: tmp_path / name)
    salt = f"{tmp_path} {time.time()}"
    for module in (_eager, _serialized):
        monkeypatch.setattr(module, "name_of", lambda key: hashlib.sha256(f"{salt} {key}".encode()).hexdigest())
    _eager.forget_steps()
    yield tmp_path / _eager.FOLDER
    _eager.forget_steps()


@pytest.fixture
def folder(own_cache, monkeypatch):
    # The functions above are none of the package's, whose source alone is known.
    monkeypatch.setattr(_eager, "text_of", lambda *parts, **_: repr(parts))
    return own_cache


@pytest.fixture
def compiled(monkeypatch):
    """Which functions are compiled."""
    names, compile_it = [], _eager._compile
    monkeypatch.setattr(
        _eager, "_compile", lambda function, *rest: names.append(function) or compile_it(function, *rest)
    )
    return names


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_kept_gives_the_same_bits_and_compiles_nothing(name, own_cache, compiled):
    first = QUESTIONS[name](MARKET)
    assert compiled
    number = len(compiled)
    QUESTIONS[name](MARKET)
    assert len(compiled) == number
    _eager.forget_steps()
    again = QUESTIONS[name](MARKET)
    assert len(compiled) == number
    assert jax.tree.structure(first) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", QUESTIONS)
def test_optimised_code_says_the_same(name):
    quick, compiled = QUESTIONS[name](MARKET), jax.jit(QUESTIONS[name])(MARKET)
    np.testing.assert_allclose(quick.lower, compiled.lower, atol=1e-9)
    np.testing.assert_allclose(quick.upper, compiled.upper, atol=1e-9)


def test_results_come_back_as_they_were_returned(folder, compiled):
    for _ in range(2):
        found = with_words(np.arange(3.0), "yes")
        assert found["word"] == "YES"
        assert found["nothing"] is None
        assert isinstance(found["value"], jax.Array)
        assert found["value"].dtype == np.float64
        np.testing.assert_array_equal(found["value"], [1, 2, 3])
        _eager.forget_steps()
    assert len(compiled) == 1
    assert with_words(np.arange(3.0), "no")["word"] == "NO"
    assert len(compiled) == 2


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("number", [None, 2])
def test_random_keys_are_kept_with_what_they_are_for(folder, compiled, kind, number):
    key = jax.random.key(7, impl=kind)
    keys = key if number is None else jax.random.split(key, number)
    for _ in range(2):
        found = drawn(keys, np.float64(2))
        with jax.enable_x64(True):
            np.testing.assert_array_equal(found, 2 * jax.random.normal(key if number is None else keys[1], (3,)))
        _eager.forget_steps()
    assert len(compiled) == 1
    other = jax.random.key(7, impl={"rbg": "threefry2x32", "threefry2x32": "rbg"}[kind])
    assert not np.array_equal(drawn(other if number is None else jax.random.split(other, number), 2.0), found)
    assert len(compiled) == 2


def test_devices_and_switches_of_the_process_have_no_programmes_of_their_own(monkeypatch):
    """The command asks for a device per core, scripts for 64-bit numbers; what counts is which devices there are."""
    monkeypatch.setattr(with_words, "__module__", "pluraljax.made")
    keys = lambda: [_traced.text_of((with_words,), (np.ones(2),), on_one_cpu=one) for one in (True, False)]
    alone, among = keys()
    assert alone is not None
    assert not any(name in alone for name in ("num_cpu_devices", "enable_x64"))
    assert "enable_x64" in among
    assert "num_cpu_devices" not in among
    assert str([(device.platform, device.device_kind) for device in jax.local_devices()]) in among
    was = jax.config.jax_default_matmul_precision
    try:
        jax.config.update("jax_default_matmul_precision", "highest")
        assert keys()[0] != alone
    finally:
        jax.config.update("jax_default_matmul_precision", was)


def test_shapes_and_settings_have_programmes_of_their_own(folder, compiled):
    doubled(np.ones(2)), doubled(np.ones(3)), doubled(np.ones(2))
    with jax.debug_nans(True):
        doubled(np.ones(2))
    assert len(compiled) == 3
    assert len(list(folder.iterdir())) == 3


def test_what_jax_had_itself_is_not_written_down_again(folder, compiled, monkeypatch):
    """Of what was loaded, XLA cannot write down all that it takes to run."""

    def loaded(lowered, options):
        _serialized._hear("/jax/compilation_cache/cache_hits")
        return lowered.compile()

    monkeypatch.setattr(_eager, "compile_with", loaded)
    np.testing.assert_array_equal(doubled(np.ones(2)), [2, 2])
    assert not folder.exists()


def test_what_is_kept_and_does_not_run_is_made_again(folder, compiled, monkeypatch, caplog):
    doubled(np.ones(2))
    _eager.forget_steps()

    def broken(*_):
        raise jax.errors.JaxRuntimeError("Function not found")

    with monkeypatch.context() as patch:
        patch.setattr(_serialized.serialize_executable, "deserialize_and_load", lambda *_: broken)
        np.testing.assert_array_equal(doubled(np.ones(2)), [2, 2])
    assert "is dropped, and made again" in caplog.text
    assert len(compiled) == 2


def test_kept_code_that_calls_lapack_runs_in_a_process_that_has_not_loaded_it(tmp_path):
    """It called address 0."""
    code = (
        "import jax, pluraljax as plx\n"
        "print(plx.families.conic(residual='extremal', perturbation=0.25)(jax.random.key(0)).user_value)"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment) for _ in range(2)
    ]
    assert [(run.returncode, run.stdout) for run in runs] == [(0, runs[0].stdout)] * 2
    [kept] = (path for path in tmp_path.rglob("*") if path.is_file())
    assert kept.parent.name == _eager.FOLDER


def test_what_calls_back_into_python_is_not_written_down(folder, compiled):
    for _ in range(2):
        np.testing.assert_array_equal(called_back(np.ones(2)), [2, 2])
        _eager.forget_steps()
    assert len(compiled) == 2
    assert not folder.exists()


def test_functions_without_a_name_are_not_written_down(folder, compiled):
    factors = [in_float64(lambda value, factor=factor: factor * value) for factor in (2, 3)]
    assert [float(factor(np.ones(1))[0]) for factor in factors] == [2, 3]
    assert not folder.exists()


def test_of_functions_from_elsewhere_nothing_is_written_down(own_cache):
    doubled(np.ones(2))
    assert not own_cache.exists()


def test_an_exchanged_or_torn_file_is_made_again(folder, compiled, caplog):
    doubled(np.ones(2)), doubled(np.ones(3))
    one, other = sorted(folder.iterdir())
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0][:-9])
    _eager.forget_steps()
    np.testing.assert_array_equal(doubled(np.ones(2)), [2, 2])
    np.testing.assert_array_equal(doubled(np.ones(3)), [2, 2, 2])
    assert len(compiled) == 4
    assert caplog.text.count("is dropped, and made again") == 2
    assert [one.read_bytes()[:16], other.read_bytes()[:16]] == [contents[0][:16], contents[1][:16]]


def test_the_cache_is_turned_off_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PLURALJAX_NO_CACHE", "1")
    assert _eager.user_folder("steps") is None


def test_jax_keeps_its_own_ways(compiled):
    device = jax.devices()[1]
    on_second = jax.device_put(np.ones(2, np.float32), device)
    assert doubled(on_second).devices() == {device}
    with jax.disable_jit():
        np.testing.assert_array_equal(doubled(np.ones(5)), 2 * np.ones(5))
    assert not compiled
    with jax.default_device(device):
        assert doubled(np.ones(6)).devices() == {device}
    assert len(compiled) == 1


def test_large_arguments_get_optimised_code(monkeypatch, folder):
    asked = []
    monkeypatch.setattr(_eager, "compile_with", lambda lowered, options: asked.append(options) or lowered.compile())
    doubled(np.ones(10))
    doubled(np.ones(20_000))
    assert asked == [_eager.QUICKLY]


def test_old_files_make_room(tmp_path):
    kept = _eager.Kept(tmp_path / "kept")
    for number in range(6):
        kept.write(f"name{number}", "key", bytes(1000))
    for number, age in enumerate([10, 60, 50, 40, 30, 20]):
        os.utime(tmp_path / "kept" / f"name{number}", (age, age))
    os.utime(tmp_path / "kept" / "name0", (99, 99))
    kept.trim(10_000)
    assert len(list((tmp_path / "kept").iterdir())) == 6
    kept.trim(5_000)
    # Half of it stays: what was used last.
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["name0", "name1"]


def test_files_that_vanish_meanwhile_are_none(tmp_path, monkeypatch):
    kept = _eager.Kept(tmp_path / "kept")
    for number in range(3):
        kept.write(f"name{number}", "key", bytes(1000))
    unlink = os.unlink
    monkeypatch.setattr(os, "unlink", lambda path: (unlink(path), unlink(path)))
    kept.trim(1)
    assert not list((tmp_path / "kept").iterdir())


def test_remarks_are_left_out_and_nothing_else(capfd):
    with without_noise():
        os.write(2, b"kept\nE cpu_aot_loader Target machine feature +prefer-no-gather is not supported\nkept, too\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "kept\nkept, too\nafter\n"


def test_remarks_are_left_out_in_several_threads(capfd):
    def load(number):
        with without_noise():
            time.sleep(0.05)
            os.write(2, b"Target machine feature +prefer-no-scatter\n%d\n" % number)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert sorted(capfd.readouterr().err.split()) == ["0", "1", "2", "3", "after"]


@pytest.mark.parametrize("value", [1.0, jnp.float32(1.0), np.float64(1.0), 1])
def test_plain_numbers_work(value):
    assert float(doubled(value)) == 2
