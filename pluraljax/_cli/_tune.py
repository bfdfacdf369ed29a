"""`pluraljax tune CONFIG`: tunes a market rule by gradient and certifies it on markets it was not tuned on."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._tune_settings import Settings, read_settings
from ._words import fail, say


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser(
        "tune",
        help="tune a rule of the market by gradient, and certify what it does",
        description="Tunes subsidies, an entrant, masses, segments or licences by gradient, and certifies every market "
        "before and after. Checkpoints are kept: after an interruption, the same command continues.",
    )
    parser.add_argument("config", metavar="CONFIG", help="TOML file that says what to tune (docs/tuning.md)")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: tune-results/NAME-OF-CONFIG)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(run=run, after_interruption=lambda args: "Run the same command to continue.")


def run(args: argparse.Namespace) -> int:
    """Tunes, certifies and writes the results; returns the exit code."""
    from .._compiling._prepare import prepare_jax

    out = Path(args.out) if args.out else Path("tune-results") / Path(args.config).stem
    try:
        settings = read_settings(Path(args.config))
        out.mkdir(parents=True, exist_ok=True)
        if (out / "summary.json").exists():
            raise ValueError(f"{out}: holds a finished run, which is not overwritten; choose another folder.")
        prepare_jax()
        from .._activity import hushed

        with hushed(args.quiet):
            tuned = _tune(settings, out, shown=not args.quiet)
        say(_write(tuned, settings.plain, out).rstrip("\n"))
    except (ValueError, OSError) as error:
        return fail(args, error)
    return 0


def _tune(settings: Settings, out: Path, *, shown: bool) -> Any:
    import jax
    import jax.random as jr

    from .._tuning import tune

    population, steps = settings.family, settings.schedule.steps
    if settings.count is not None:
        population = jax.jit(jax.vmap(population))(jr.split(jr.key(settings.seed), settings.count))

    def report(step: int, loss: float) -> None:
        print(f"tune: step {step:,} of {steps:,}, relaxed loss {loss:.5g}", file=sys.stderr, flush=True)

    return tune(
        settings.objective,
        settings.instrument,
        population,
        segments=settings.labels,
        delta=settings.delta,
        schedule=settings.schedule,
        seed=settings.seed,
        checkpoint=out / "checkpoint.npz",
        progress=report if shown else None,
    )


def _write(tuned: Any, settings: Mapping[str, Any], out: Path) -> str:
    """Writes parameters, certified columns, the learning curve and a summary; returns the summary as text."""
    import json
    from dataclasses import asdict

    import jax
    import numpy as np

    from .._atomic import write_text
    from .._files._archive import write_archive

    if lost := int(tuned.lost.sum()):
        print(f"tune: {lost:,} entries of gradients were not finite, and counted as zero", file=sys.stderr, flush=True)
    columns = {
        f"{when}_{name}": value for when in ("before", "after") for name, value in asdict(getattr(tuned, when)).items()
    }
    leaves = {f"parameter{n}": leaf for n, leaf in enumerate(jax.tree.leaves(tuned.parameters))}
    known = {"history": tuned.history, "lost": tuned.lost}
    write_archive(out / "tuned.npz", known | leaves | columns, replace=True)
    _draw(tuned, out)
    names = ("weak_error", "segment_error", "guarantee", "worst_lower", "worst_upper")
    rows, text = {}, f"{'certified, mean over users and markets':40} {'before':>10} {'after':>10}   difference, 95 %\n"
    for name in names:
        old, new = (np.asarray(getattr(each, name)).mean(axis=1) for each in (tuned.before, tuned.after))
        change = new - old
        error = 1.96 * change.std(ddof=1) / len(change) ** 0.5 if len(change) > 1 else float("nan")
        rows[name] = {"before": old.mean(), "after": new.mean(), "difference": change.mean(), "half_width": error}
        text += f"{name:40} {old.mean():10.5f} {new.mean():10.5f}   {change.mean():+.5f} ± {error:.5f}\n"
    statuses = {w: np.bincount(getattr(tuned, w).status, minlength=1).tolist() for w in ("before", "after")}
    summary = {"settings": settings, "certified": rows, "statuses": statuses, "markets": len(tuned.after.status)}
    write_text(out / "summary.json", json.dumps(summary, indent=2, default=float) + "\n")
    return text + f"{len(tuned.after.status):,} markets; results are in {out}\n"


def _draw(tuned: Any, out: Path) -> None:
    import io

    from matplotlib.figure import Figure

    from .._atomic import replacing

    figure = Figure(figsize=(5.5, 3.2), layout="constrained")
    panel = figure.subplots()
    panel.plot(range(1, len(tuned.history) + 1), tuned.history, color="0.2", linewidth=1.0)
    panel.set(xlabel="step", ylabel="relaxed loss (a guide, not a result)", title="learning curve")
    for end in ("png", "svg"):
        figure.savefig(content := io.BytesIO(), format=end, dpi=150)
        with replacing(out / f"learning_curve.{end}") as file:
            file.write(content.getbuffer())
