"""Settles, before JAX runs anything, which devices a scan has and where compiled programmes are kept."""

import os
from contextlib import suppress

from ._kept import cache_folder


def prepare_jax() -> None:
    """Gives JAX one CPU device per core and a compilation cache, unless the environment says otherwise.

    `XLA_FLAGS` with a device count or `JAX_NUM_CPU_DEVICES` keep the number of devices; `PLURALJAX_NO_CACHE` turns the
    cache off and `JAX_COMPILATION_CACHE_DIR` places it elsewhere.
    """
    # XLA reports two harmless features of this processor as errors whenever it loads a program from the cache.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen and "JAX_NUM_CPU_DEVICES" not in os.environ:
        # Devices are fixed once JAX has run something, as in a process that calls this command as a function.
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_cores())
    if not os.environ.get("PLURALJAX_NO_CACHE"):
        if not jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
            jax.config.update("jax_compilation_cache_dir", str(cache_folder(jax.__version__)))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        from ._cache import seal_compilation_cache

        seal_compilation_cache()


def num_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
