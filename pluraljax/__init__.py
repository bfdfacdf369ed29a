"""pluraljax measures how often competition among AI providers serves every user: random markets, certified bounds."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _families as families  # noqa: F401
    from ._alignment import (
        Alignment as Alignment,
    )
    from ._alignment import (
        StrongAlignment as StrongAlignment,
    )
    from ._alignment import (
        segment_alignment as segment_alignment,
    )
    from ._alignment import (
        strong_alignment as strong_alignment,
    )
    from ._alignment import (
        weak_alignment as weak_alignment,
    )
    from ._audit import Audit as Audit
    from ._audit import audit as audit
    from ._bracket import Bracket as Bracket
    from ._candidates import (
        Annealing as Annealing,
    )
    from ._certify import (
        Certificate as Certificate,
    )
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
    from ._conversation import (
        Rational as Rational,
    )
    from ._conversation import (
        in_one_round as in_one_round,
    )
    from ._conversation import (
        informative_profile as informative_profile,
    )
    from ._conversation import (
        recommending_profile as recommending_profile,
    )
    from ._conversation import (
        silent_profile as silent_profile,
    )
    from ._coverage import Coverage as Coverage
    from ._coverage import coverage as coverage
    from ._deviation import (
        Deviation as Deviation,
    )
    from ._deviation import (
        Silence as Silence,
    )
    from ._deviation import (
        deviation as deviation,
    )
    from ._deviation import (
        silence as silence,
    )
    from ._equilibrium import (
        BestResponse as BestResponse,
    )
    from ._equilibrium import (
        Equilibria as Equilibria,
    )
    from ._equilibrium import (
        Equilibrium as Equilibrium,
    )
    from ._equilibrium import (
        Play as Play,
    )
    from ._equilibrium import (
        best_response as best_response,
    )
    from ._equilibrium import (
        best_response_play as best_response_play,
    )
    from ._equilibrium import (
        equilibrium as equilibrium,
    )
    from ._equilibrium import (
        gradient_policies as gradient_policies,
    )
    from ._frontier import (
        FrontierCurve as FrontierCurve,
    )
    from ._frontier import (
        Persuasion as Persuasion,
    )
    from ._frontier import (
        frontier_curve as frontier_curve,
    )
    from ._frontier import (
        persuasion as persuasion,
    )
    from ._guarantee import Guarantee as Guarantee
    from ._guarantee import guarantee as guarantee
    from ._market import (
        Benchmarks as Benchmarks,
    )
    from ._market import (
        Market as Market,
    )
    from ._market import (
        Stakes as Stakes,
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
    from ._market_file import NamedMarket as NamedMarket
    from ._market_file import load_market as load_market
    from ._market_file import load_named_market as load_named_market
    from ._market_file import save_market as save_market
    from ._market_form import MarketNames as MarketNames
    from ._payoff import (
        Payoffs as Payoffs,
    )
    from ._payoff import (
        payoffs as payoffs,
    )
    from ._profile_file import load_profile as load_profile
    from ._profile_file import save_profile as save_profile
    from ._robust import Robust as Robust
    from ._robust import Robustness as Robustness
    from ._robust import robust_alignment as robust_alignment
    from ._robust import robust_coverage as robust_coverage
    from ._robust import robust_guarantee as robust_guarantee
    from ._robust import robust_worst_equilibrium as robust_worst_equilibrium
    from ._robust import robustness as robustness
    from ._scan import (
        Column as Column,
    )
    from ._scan import (
        Exits as Exits,
    )
    from ._scan import (
        FamilyGrid as FamilyGrid,
    )
    from ._scan import (
        Measurement as Measurement,
    )
    from ._scan import (
        ScanConfig as ScanConfig,
    )
    from ._scan import (
        Search as Search,
    )
    from ._scan import (
        Until as Until,
    )
    from ._scan import (
        WorstSearch as WorstSearch,
    )
    from ._scan import (
        confidence_sequence as confidence_sequence,
    )
    from ._scan import (
        default_config as default_config,
    )
    from ._scan import (
        markets_needed as markets_needed,
    )
    from ._scan import (
        open_scan as open_scan,
    )
    from ._scan import (
        scan as scan,
    )
    from ._segments import anonymous as anonymous
    from ._segments import personalized as personalized
    from ._status import Status as Status
    from ._study import Scheme as Scheme
    from ._study import Study as Study
    from ._study import UserAnswer as UserAnswer
    from ._study import study as study
    from ._truth import Truth as Truth
    from ._tuning import Certified as Certified
    from ._tuning import Entrant as Entrant
    from ._tuning import Instrument as Instrument
    from ._tuning import Licence as Licence
    from ._tuning import Reweighting as Reweighting
    from ._tuning import Schedule as Schedule
    from ._tuning import Segmentation as Segmentation
    from ._tuning import Slopes as Slopes
    from ._tuning import SoftEquilibrium as SoftEquilibrium
    from ._tuning import Subsidised as Subsidised
    from ._tuning import Subsidy as Subsidy
    from ._tuning import Tuned as Tuned
    from ._tuning import WorstValue as WorstValue
    from ._tuning import certify_rule as certify_rule
    from ._tuning import gradient_subsidy as gradient_subsidy
    from ._tuning import least_subsidy as least_subsidy
    from ._tuning import one_sided_slopes as one_sided_slopes
    from ._tuning import soft_equilibrium as soft_equilibrium
    from ._tuning import tune as tune
    from ._tuning import worst_value as worst_value
    from ._warnings import PrecisionWarning as PrecisionWarning
    from ._worst_shared import WorstEquilibrium as WorstEquilibrium
    from ._worst_shared import worst_equilibrium as worst_equilibrium

# Where each public name lives. Loading is lazy (PEP 562), so that `pluraljax --help` does not wait for JAX.
_HOME = {
    "PrecisionWarning": "_warnings",
    "Search": "_scan",
    "Until": "_scan",
    "WorstSearch": "_scan",
    "gradient_policies": "_equilibrium",
    "best_response": "_equilibrium",
    "BestResponse": "_equilibrium",
    "equilibrium": "_equilibrium",
    "best_response_play": "_equilibrium",
    "Play": "_equilibrium",
    "Equilibrium": "_equilibrium",
    "Equilibria": "_equilibrium",
    "Annealing": "_candidates",
    "payoffs": "_payoff",
    "Payoffs": "_payoff",
    "Rational": "_conversation",
    "Logit": "_conversation",
    "Conversation": "_conversation",
    "Alignment": "_alignment",
    "Benchmarks": "_market",
    "Bracket": "_bracket",
    "Deviation": "_deviation",
    "Certificate": "_certify",
    "Column": "_scan",
    "Exits": "_scan",
    "FamilyGrid": "_scan",
    "FrontierCurve": "_frontier",
    "Guarantee": "_guarantee",
    "Market": "_market",
    "Measurement": "_scan",
    "Profile": "_conversation",
    "Persuasion": "_frontier",
    "ScanConfig": "_scan",
    "Silence": "_deviation",
    "Stakes": "_market",
    "Status": "_status",
    "Truth": "_truth",
    "StrongAlignment": "_alignment",
    "anonymous": "_segments",
    "benchmarks": "_market",
    "certify": "_certify",
    "confidence_sequence": "_scan",
    "default_config": "_scan",
    "deviation": "_deviation",
    "families": "_families",
    "frontier_curve": "_frontier",
    "guarantee": "_guarantee",
    "in_one_round": "_conversation",
    "informative_profile": "_conversation",
    "load_market": "_market_file",
    "load_named_market": "_market_file",
    "NamedMarket": "_market_file",
    "MarketNames": "_market_form",
    "load_profile": "_profile_file",
    "market_status": "_market",
    "markets_needed": "_scan",
    "measurements": "_scan.measure",
    "observed_market": "_market",
    "open_scan": "_scan",
    "personalized": "_segments",
    "recommending_profile": "_conversation",
    "persuasion": "_frontier",
    "save_market": "_market_file",
    "save_profile": "_profile_file",
    "scan": "_scan",
    "segment_alignment": "_alignment",
    "silence": "_deviation",
    "silent_profile": "_conversation",
    "stakes": "_market",
    "strong_alignment": "_alignment",
    "weak_alignment": "_alignment",
    "Certified": "_tuning",
    "Entrant": "_tuning",
    "Instrument": "_tuning",
    "Licence": "_tuning",
    "Reweighting": "_tuning",
    "Schedule": "_tuning",
    "Segmentation": "_tuning",
    "Slopes": "_tuning",
    "SoftEquilibrium": "_tuning",
    "Subsidised": "_tuning",
    "Subsidy": "_tuning",
    "Tuned": "_tuning",
    "WorstValue": "_tuning",
    "certify_rule": "_tuning",
    "gradient_subsidy": "_tuning",
    "least_subsidy": "_tuning",
    "one_sided_slopes": "_tuning",
    "soft_equilibrium": "_tuning",
    "tune": "_tuning",
    "worst_value": "_tuning",
    "WorstEquilibrium": "_worst_shared",
    "worst_equilibrium": "_worst_shared",
    "Audit": "_audit",
    "audit": "_audit",
    "Coverage": "_coverage",
    "coverage": "_coverage",
    "Robust": "_robust",
    "Robustness": "_robust",
    "robust_alignment": "_robust",
    "robust_coverage": "_robust",
    "robust_guarantee": "_robust",
    "robust_worst_equilibrium": "_robust",
    "robustness": "_robust",
    "Scheme": "_study",
    "Study": "_study",
    "UserAnswer": "_study",
    "study": "_study",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("pluraljax")
    if name not in _HOME:
        raise AttributeError(f"module 'pluraljax' has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    value = home if name in ("families", "measurements") else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
