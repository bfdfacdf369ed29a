"""`pluraljax study MARKET`: whom competition serves in one market, why, and what would change it."""

import argparse
from typing import Any

from ._words import fail, say

_DESCRIPTION = """Asks everything about one market that can be asked within seconds: whether every equilibrium serves
each user, if policies are personalized and if there is one for all, which providers' interests that rests on, and what
would change it. MARKET may be a spreadsheet: docs/study.md shows one."""

# How long the search goes on by itself while it gains ground.
_SECONDS = 60

_EXIT_CODES = """exit codes: 0 it is decided who is served; 1 something is undecided; 2 something is wrong with the
arguments or the file"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "study",
        help="ask of one market whom competition serves, and why",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
    )
    parser.add_argument("market", metavar="MARKET", help=".csv, .toml or .npz file of a market")
    parser.add_argument(
        "--delta", type=float, default=0.0, metavar="D", help="what a provider may leave on the table (default: 0)"
    )
    parser.add_argument(
        "--budget",
        type=int,
        metavar="N",
        help="parts that the search for bad equilibria of one policy for all looks at (default: 500, and more as long "
        "as the answer is open, the search gains ground and --seconds last)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"how long the search may go on by itself (default: {_SECONDS}, or 0 with --budget)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Studies the market; returns the exit code."""
    try:
        answer = _study(args)
    except (ValueError, OSError) as error:
        return fail(args, error)
    if args.json:
        import json

        print(json.dumps(answer.as_data(), indent=1, allow_nan=False))
    else:
        say(answer)
    return 0 if answer.is_decided else 1


def _study(args: argparse.Namespace) -> Any:
    from .._compiling._prepare import prepare_jax

    if not 0 <= args.delta < float("inf"):
        raise ValueError(f"--delta must be >= 0, got {args.delta}.")
    if args.budget is not None and args.budget < 0:
        raise ValueError(f"--budget must be >= 0, got {args.budget}.")
    seconds = args.seconds
    if seconds is None:
        seconds = _SECONDS if args.budget is None else 0
    elif not 0 <= seconds < float("inf"):
        raise ValueError(f"--seconds must be >= 0, got {seconds}.")
    prepare_jax()
    from .._arguments import PARTS
    from .._market_file import load_named_market
    from .._study import study

    market, names = load_named_market(args.market)
    budget = PARTS if args.budget is None else args.budget
    return study(market, names, delta=args.delta, budget=budget, seconds=seconds, file=args.market)
