"""`pluraljax certify MARKET`: proves what pluraljax says about one market again, in exact arithmetic."""

import argparse
from typing import Any

from ._words import fail, say

_DESCRIPTION = """Computes alignment conditions, guarantees and worst equilibria of one market, and proves every
number again in exact rational arithmetic. Prints which inequality and which multipliers prove it, and ends each claim
in PROVED or OPEN."""

_EXIT_CODES = """exit codes: 0 every claim is proved; 1 something is OPEN or REFUTED; 2 something is wrong with the
arguments or a file"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "certify",
        help="prove the numbers of one market in exact arithmetic",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "market", metavar="MARKET", help=".npz file of a market (plx.save_market writes one), or a .csv or .toml form"
    )
    parser.add_argument(
        "--delta", type=float, default=0.0, metavar="D", help="what a provider may leave on the table (default: 0)"
    )
    parser.add_argument(
        "--segments",
        metavar="LABELS",
        help="personalized, anonymous, or a label per user with commas between (default: both ends)",
    )
    parser.add_argument(
        "--profile", metavar="PROFILE", help=".npz file of a profile of policies: is it a delta-equilibrium?"
    )
    parser.add_argument("--weights", choices=("cone", "hull"), default="cone", help="weights of the conditions")
    parser.add_argument("--offset", choices=("constant", "state"), default="constant", help="offset of the conditions")
    parser.add_argument("--scale", choices=("unit", "free"), default="unit", help="scale of users in the conditions")
    parser.add_argument(
        "--budget",
        type=int,
        metavar="N",
        help="parts that the search looks at where users share policies (default: 500, as in a study)",
    )
    parser.add_argument(
        "--brief", action="store_true", help="print the conclusion, how many claims are proved, and those that are not"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, fractions as p/q")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Certifies the market; returns the exit code."""
    try:
        certificate = _certificate(args)
    except (ValueError, OSError) as error:
        return fail(args, error)
    if args.json:
        import json

        print(json.dumps(certificate.as_data(), indent=1))
    else:
        say(certificate.brief() if args.brief else certificate)
    return 0 if certificate.is_proved else 1


def _certificate(args: argparse.Namespace) -> Any:
    from .._compiling._prepare import prepare_jax

    if not 0 <= args.delta < float("inf"):
        raise ValueError(f"--delta must be >= 0, got {args.delta}.")
    if args.budget is not None and args.budget < 0:
        raise ValueError(f"--budget must be >= 0, got {args.budget}.")
    prepare_jax()
    from .._arguments import PARTS
    from .._market_file import load_named_market

    market, names = load_named_market(args.market)
    profile = None
    if args.profile is not None:
        from .._profile_file import load_profile

        profile = load_profile(args.profile)
    segments = _segments(args.segments, market.num_users)
    from .._activity import told_if_long
    from .._certify import ProfileError, certify

    options = {"weights": args.weights, "offset": args.offset, "scale": args.scale, "profile": profile}
    options["budget"] = PARTS if args.budget is None else args.budget
    if not args.market.endswith(".npz"):
        options["names"] = names
    try:
        with told_if_long("certify: computing numbers, and proving them in exact arithmetic"):
            subject = f"certificate of {args.market}"
            return certify(market, segments, args.delta, subject=subject, file=args.market, **options)
    except ProfileError as error:
        raise ValueError(f"{args.profile}: {error}") from None


def _segments(text: str | None, num_users: int) -> Any:
    """Reads labels; None stands for both ends."""
    from .._segments import anonymous, personalized

    if text is None:
        return None
    if text in ("personalized", "anonymous"):
        return {"personalized": personalized, "anonymous": anonymous}[text](num_users)
    import numpy as np

    try:
        labels = [int(label) for label in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--segments takes 'personalized', 'anonymous' or integers with commas between, got {text!r}."
        ) from None
    if len(labels) != num_users:
        raise ValueError(f"--segments needs a label for each of {num_users} users, got {len(labels)}.")
    return np.array(labels)
