"""`pluraljax audit SCORES`: how many prompts of a table stay covered after the loss of any k models."""

import argparse
from typing import Any

from ._words import fail, say

_DESCRIPTION = """Reads a table of the scores that models give to the answers of prompts, and counts the prompts that
are covered after the loss of any k models: non-negative weights on those left make up for whatever a user loses by
leaving the baseline answer (docs/audit.md)."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "audit",
        help="ask a table of models' scores what survives the loss of models",
        description=_DESCRIPTION,
        epilog="exit codes: 0 done; 1 the certificate is OPEN; 2 something is wrong with the arguments or the table",
    )
    parser.add_argument("scores", metavar="SCORES", help="table of scores, in .csv, .parquet or .npz")
    parser.add_argument(
        "--removed", default="0,1,2", metavar="LIST", help="how many models leave, with commas (default: %(default)s)"
    )
    parser.add_argument(
        "--baseline",
        default="best",
        metavar="COLUMN",
        help="column that marks the baseline answer (default: the first of those that the user likes best)",
    )
    parser.add_argument("--out", metavar="DIR", help="folder for a line per prompt, the figure and the page")
    parser.add_argument("--certificate", metavar="PROMPT", help="prove the number of one prompt")
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="P", help="confidence of the intervals (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing on the way")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audits the table; returns the exit code."""
    from contextlib import nullcontext
    from pathlib import Path

    from .._audit import audit, models_of, prompts_file, summary_lines, write_audit
    from .._progress import make_progress

    try:
        removed = _numbers(args.removed)
        folder = None if args.out is None else Path(args.out)
        with nullcontext() if folder is None else prompts_file(folder, models_of(args.scores, args.baseline)) as each:
            found = audit(
                args.scores,
                removed,
                baseline=args.baseline,
                confidence=args.confidence,
                keep=[] if args.certificate is None else [args.certificate],
                each=each,
                progress=make_progress(not args.quiet, "audit", "prompts"),
            )
        written = [] if folder is None else write_audit(found, folder, str(args.scores))
    except (ValueError, OSError) as error:
        return fail(args, error)
    proof = _certificate(found, args.certificate)
    if args.json and proof is not None:
        import json

        print(json.dumps(proof.as_data(), indent=1))
    else:
        say("\n".join(summary_lines(found)))
        if proof is not None:
            say(f"\n{proof}")
        for path in written:
            say(f"wrote {path}")
    return 0 if proof is None or proof.is_proved else 1


def _certificate(found: Any, name: str | None) -> Any:
    from .._audit import certificate

    return None if name is None else certificate(found.kept[name], found.models, max(found.removed))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise ValueError(f"--removed takes whole numbers with commas between, got {text!r}.") from None
