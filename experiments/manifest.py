"""Writes down what an experiment's numbers came from, beside its output."""

import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax


def write_manifest(out: Path, config: Any, results: list[Any]) -> None:
    """Writes `manifest.json`: config, results, versions, device and, where known, the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    content = {
        "config": asdict(config),
        "results": [asdict(result) for result in results],
        "versions": {name: version(name) for name in ("pluraljax", "jax", "jaxlib", "numpy")},
        "python": platform.python_version(),
        "devices": [str(device) for device in jax.local_devices()],
        "commit": commit.stdout.strip() or "unknown",
    }
    (out / "manifest.json").write_text(json.dumps(content, indent=2) + "\n")
