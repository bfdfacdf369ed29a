"""pluraljax measures how often competition among AI providers serves every user: random markets, certified bounds."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _families as families  # noqa: F401
    from . import answers, files, play, plot, robust, scans, solvers, statistics, tuning  # noqa: F401
    from ._alignment import (
        segment_alignment as segment_alignment,
    )
    from ._alignment import (
        strong_alignment as strong_alignment,
    )
    from ._alignment import (
        weak_alignment as weak_alignment,
    )
    from ._audit import audit as audit
    from ._bracket import Bracket as Bracket
    from ._certify import (
        certify as certify,
    )
    from ._conversation import (
        Conversation as Conversation,
    )
    from ._conversation import (
        Logit as Logit,
    )
    from ._conversation import (
        Profile as Profile,
    )
    from ._deviation import (
        deviation as deviation,
    )
    from ._deviation import (
        silence as silence,
    )
    from ._equilibrium import (
        best_response as best_response,
    )
    from ._equilibrium import (
        equilibrium as equilibrium,
    )
    from ._frontier import (
        frontier_curve as frontier_curve,
    )
    from ._frontier import (
        persuasion as persuasion,
    )
    from ._guarantee import guarantee as guarantee
    from ._market import (
        Market as Market,
    )
    from ._market import (
        benchmarks as benchmarks,
    )
    from ._market import (
        market_status as market_status,
    )
    from ._market import (
        observed_market as observed_market,
    )
    from ._market import (
        stakes as stakes,
    )
    from ._market_file import load_market as load_market
    from ._market_file import save_market as save_market
    from ._payoff import (
        payoffs as payoffs,
    )
    from ._robust import robust_alignment as robust_alignment
    from ._scan import (
        open_scan as open_scan,
    )
    from ._scan import (
        scan as scan,
    )
    from ._segments import anonymous as anonymous
    from ._segments import personalized as personalized
    from ._status import Status as Status
    from ._study import study as study
    from ._truth import Truth as Truth
    from ._warnings import PrecisionWarning as PrecisionWarning
    from ._worst_shared import worst_equilibrium as worst_equilibrium

# Where each public name lives. Loading is lazy (PEP 562), so that `pluraljax --help` does not wait for JAX.
_HOME = {
    "PrecisionWarning": "_warnings",
    "best_response": "_equilibrium",
    "equilibrium": "_equilibrium",
    "payoffs": "_payoff",
    "Logit": "_conversation",
    "Conversation": "_conversation",
    "Bracket": "_bracket",
    "Market": "_market",
    "Profile": "_conversation",
    "Status": "_status",
    "Truth": "_truth",
    "anonymous": "_segments",
    "benchmarks": "_market",
    "certify": "_certify",
    "deviation": "_deviation",
    "families": "_families",
    "frontier_curve": "_frontier",
    "guarantee": "_guarantee",
    "load_market": "_market_file",
    "market_status": "_market",
    "observed_market": "_market",
    "open_scan": "_scan",
    "personalized": "_segments",
    "persuasion": "_frontier",
    "save_market": "_market_file",
    "scan": "_scan",
    "segment_alignment": "_alignment",
    "silence": "_deviation",
    "stakes": "_market",
    "strong_alignment": "_alignment",
    "weak_alignment": "_alignment",
    "worst_equilibrium": "_worst_shared",
    "audit": "_audit",
    "robust_alignment": "_robust",
    "study": "_study",
}

# Modules of names that are not needed every day.
_NAMESPACES = ("answers", "files", "play", "plot", "robust", "scans", "solvers", "statistics", "tuning")

__all__ = [*_HOME, *_NAMESPACES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("pluraljax")
    if name not in _HOME and name not in _NAMESPACES:
        raise AttributeError(f"module 'pluraljax' has no attribute {name!r}{_elsewhere(name)}")
    home = importlib.import_module(f".{_HOME.get(name, name)}", __name__)
    value = home if name in ("families", *_NAMESPACES) else getattr(home, name)
    globals()[name] = value
    return value


def _elsewhere(name: str) -> str:
    """Where a name is that belongs to a namespace, as far as its file tells; nothing of it is loaded for that."""
    if name.startswith("_"):
        return ""
    from pathlib import Path

    folder, spelled = Path(__file__).parent, f'"{name}"'
    homes = {each: folder / f"{each}.py" for each in _NAMESPACES} | {"families": folder / "_families" / "__init__.py"}
    found = [each for each, file in homes.items() if file.exists() and spelled in file.read_text(encoding="utf-8")]
    return f"; it is {' and '.join(f'plx.{each}.{name}' for each in found)}" if found else ""


def __dir__() -> list[str]:
    return sorted(__all__)
