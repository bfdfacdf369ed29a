"""Settings under which every test runs: stricter than a user's, and never wider in precision."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook
from quickly import FASTER_COMPILATION
from xdist.scheduler import LoadScopeScheduling

# Read once, when JAX first looks for its devices; processes that tests start are left as they are.
_flags = os.environ.get("XLA_FLAGS")
os.environ["XLA_FLAGS"] = " ".join(filter(None, [_flags, FASTER_COMPILATION]))

# What several modules ask for, or both steps of .ci/run, is compiled once. Processes that tests start do without.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parent.parent / ".pytest_cache" / "programmes"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

# What takes long depends on the machine. Processes that tests start say nothing of it either.
os.environ["PLURALJAX_QUIET"] = "1"

# Two devices, so that sharding is exercised. Through the config and not XLA_FLAGS: processes that tests start choose
# their own number of devices.
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# The switch for float64 stays off here, as it is for most users: certificates have to come out in double precision
# all the same. The fixture `x64` turns it on for tests that need it.
assert not jax.config.read("jax_enable_x64"), "unset JAX_ENABLE_X64: the tests check that the library works without it"

jax.devices()
if _flags is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = _flags

hypothesis.settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,  # the first example of a test compiles
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("deterministic")


def pytest_configure(config):
    """Annotated shapes and types are checked at every call, a quarter of the time: left out of the quick default run.

    Nothing may import the package before this.
    """
    if config.getoption("markexpr") != "not slow":
        install_import_hook("pluraljax", "beartype.beartype")


# Modules of these folders ask for the same programmes, so that one worker traces and loads each once for all of them.
_SHARING = ("tests/core/", "tests/deviation/")
# Tests that each start a long process of their own: whoever is free takes one.
_ALONE = ("tests/site/test_notebooks.py",)


class _ByFolder(LoadScopeScheduling):
    """What `--dist loadscope` does, with a folder for a scope where its modules share programmes."""

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        if module in _ALONE:
            return nodeid
        return next((folder for folder in _SHARING if module.startswith(folder)), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _ByFolder(config, log) if config.getoption("dist") == "loadscope" else None


# A Linux as it comes lets a process map 65,530 ranges of memory. The programmes of one question take up to 2,000 of
# them, and XLA ends the process when there are no more.
_MAPS, _MOST_MAPPED = Path("/proc/self/maps"), 40_000


# Tracing makes millions of objects, most of which stay: looking for garbage among them takes a fifth of a test run.
gc.disable()


@pytest.fixture(scope="module", autouse=True)
def _forget_programmes_in_time():
    yield
    gc.collect()
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MOST_MAPPED:
        from pluraljax._compiling._eager import forget_steps

        jax.clear_caches()
        forget_steps()


@pytest.fixture
def x64() -> Iterator[None]:
    """Runs one test with JAX's float64 switch on, as a user may have it."""
    with jax.enable_x64(True):
        yield
