"""Tunes an instrument over markets by gradient, and certifies what it does on markets that were not tuned on."""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array

from .._activity import told_if_long
from .._arguments import checked, instance_of
from .._atomic import sweep
from .._files._archive import read_archive, write_archive
from .._interruption import check, interruptible
from .._market import Market, slack
from .._precision import float64_scope
from .._printable import quoted
from ._certified import Certified, certify_rule
from ._instruments import Instrument
from ._objectives import OBJECTIVES, objective_of

# Keys of held-out markets start here, above those of any step.
_HELD_OUT = 2**31
_MOST = {"steps": 10**7, "batch": 2**20, "held_out": 2**20, "every": 10**9}


@dataclass(frozen=True)
class Schedule:
    """How tuning goes.

    **Arguments:**

    - `steps`: gradient steps; 1 to 10^7.
    - `batch`: markets drawn per step, where markets come from a family; 1 to 2^20, and at most 2^31 in all steps.
    - `rate`: Adam's learning rate, which falls to zero along a cosine; > 0.
    - `price`: what a unit of the instrument's cost counts in the objective; >= 0.
    - `held_out`: markets on which the tuned rule is certified, where markets come from a family; 1 to 2^20.
    - `every`: steps between checkpoints and reports of progress; >= 1.

    Raises `ValueError` for anything else.
    """

    steps: int = 200
    batch: int = 64
    rate: float = 0.03
    price: float = 0.0
    held_out: int = 500
    every: int = 25

    def __post_init__(self):
        for name in ("steps", "batch", "held_out", "every"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST[name]:
                raise ValueError(
                    f"Schedule.{name} must be a whole number of at least 1 and at most {_MOST[name]:,}, "
                    f"got {quoted(value)}."
                )
        if self.steps * self.batch > _HELD_OUT:
            raise ValueError(
                f"Schedule.steps * Schedule.batch must be at most {_HELD_OUT:,}, beyond which held-out markets come; "
                f"got {self.steps:,} * {self.batch:,}."
            )
        for name, least in (("rate", False), ("price", True)):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not (0 < value <= sys.float_info.max or (least and value == 0))
            ):
                wanted = ">= 0" if least else "> 0"
                raise ValueError(f"Schedule.{name} must be finite and {wanted}, got {quoted(value)}.")


@dataclass(frozen=True)
class Tuned:
    """A tuned rule and what was proved about it.

    `parameters` are those of the instrument (with a leading market axis where every market has its own). `history` is
    the relaxed loss at each step, a guide only, and `lost` counts the entries of its gradient that were not finite and
    counted as zero. `before` (without the rule) and `after` are certified on the same markets.
    """

    parameters: Any
    history: np.ndarray
    lost: np.ndarray
    before: Certified
    after: Certified


_IDENTITY, _HISTORY = "identity", "history"


def _how_to_go_on(given: Mapping[str, Any]) -> str:
    file = given["checkpoint"]
    if file is None:
        return "tuning was interrupted, and nothing of it is kept: with a file (checkpoint=) it could go on."
    if not Path(file).exists():
        return f"tuning was interrupted before its first checkpoint in {file}."
    return f"tuning was interrupted: the same call goes on from {file}."


@interruptible(_how_to_go_on)
@checked(instrument=instance_of(Instrument), delta=slack)
@float64_scope
def tune(
    objective: str | Callable[[Market, Any], Array],
    instrument: Instrument,
    markets: Callable[[Any], Market] | Market,
    *,
    segments: Any = None,
    delta: float = 0.0,
    schedule: Schedule | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Tuned:
    """Tunes an instrument by gradient, and certifies the rule it ends with.

    With a family, one rule is tuned for all of its markets: every step draws `schedule.batch` fresh ones, whose draws
    depend on the seed and the step alone, so that two instruments see the same markets; the rule is then certified on
    `schedule.held_out` others. With a batch of markets, every market gets a rule of its own, all at once, and these
    same markets are certified. Certified numbers come from `frontier`, `guarantee` and the alignment questions, on the
    market with the (hardened) rule applied; the relaxed loss is never reported as a result.

    **Arguments:**

    - `objective`: what to minimise, `"weak_error"`, `"segment_error"`, `"guarantee"` or `"worst"` (the last two are
      losses against aligned utility, 1 at silent), or a function of a market and its segments.
    - `instrument`: the rule whose parameters are tuned.
    - `markets`: a family, or any function of a key, or a batch of markets (leading axis).
    - `segments`: an integer label per user; default personalized.
    - `delta`: slack of the equilibria.
    - `schedule`, `seed`: how tuning goes, and the root of the random draws.
    - `checkpoint`: a file, `.npz`; tuning that was stopped goes on from it with the same result. A file that belongs to
      another run is an error.
    - `progress`: called with the step and the relaxed loss.

    **Returns:** a `Tuned`. Raises `ValueError` for arguments that make no sense. Ctrl-C raises a `KeyboardInterrupt`
    that says how to go on, between two steps; a second one does so at once.

    Example::

        family = plx.families.gaussian(providers=2, users=2)
        markets = jax.vmap(family)(jax.random.split(jax.random.key(0), 4))
        tuned = plx.tuning.tune("weak_error", plx.tuning.Entrant(), markets, segments=(0, 0))
        tuned.before.weak_error, tuned.after.weak_error
    """
    schedule = Schedule() if schedule is None else schedule
    if isinstance(objective, str) and objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)} or a function, got {quoted(objective)}.")
    draw = None if isinstance(markets, Market) else markets
    if draw is not None and instrument.only_per_market:
        raise ValueError(f"{type(instrument).__name__} is tuned market by market: give a batch of markets.")
    root = jr.key(seed)
    sample = jax.tree.map(lambda leaf: leaf[0], markets) if isinstance(markets, Market) else markets(root)
    users = sample.user_value.shape[0]
    labels = tuple(range(users)) if segments is None else tuple(int(label) for label in np.asarray(segments))
    advance, state = _program(objective_of(objective, labels, delta), instrument, markets, schedule, root, sample)
    if checkpoint is None:
        mark = None
    else:
        identity = _identity(objective, instrument, markets, labels, delta, schedule, seed)
        mark = _Checkpoint(Path(checkpoint), identity, schedule.steps)
    history: list[list[float]] = []
    with told_if_long(lambda: _told(len(history), schedule.steps, progress is not None)):
        state = _run(advance, state, history, schedule, mark, progress)
    test: Any = markets if draw is None else _held_out(draw, root, schedule.held_out)
    shared = draw is not None
    loss, lost = np.asarray(history).reshape(-1, 2).T
    with told_if_long(f"tune: certifying the rule on {len(test.mass):,} markets"):
        before = certify_rule(None, (), test, labels, delta)
        after = certify_rule(instrument, state[0], test, labels, delta, shared)
    return Tuned(jax.tree.map(np.asarray, state[0]), loss, lost, before, after)


def _told(done: int, steps: int, is_reported: bool) -> str:
    """What tuning is at; nothing of steps that a caller hears of anyway."""
    if not done:
        return "tune: compiling a step, which takes up to a minute or so"
    return "" if is_reported else f"tune: step {done:,} of {steps:,}"


def _held_out(draw: Callable[[Any], Market], root: Array, count: int) -> Market:
    keys = jax.vmap(lambda i: jr.fold_in(root, i))(jnp.arange(count, dtype=jnp.uint32) + jnp.uint32(_HELD_OUT))
    return jax.jit(jax.vmap(draw))(keys)


def _program(loss_of, instrument: Instrument, markets: Any, schedule: Schedule, root: Array, sample: Market):
    """Compiles one step, and makes the state to start from."""
    shared = not isinstance(markets, Market)
    optimiser = optax.adam(optax.cosine_decay_schedule(schedule.rate, schedule.steps))

    def one(parameters: Any, market: Market) -> Array:
        relaxed = instrument.relaxed(parameters, market)
        if relaxed is None:
            relaxed = loss_of(instrument.apply(parameters, market), market)
        return relaxed + schedule.price * instrument.cost(parameters, market)

    def loss(parameters: Any, step: Array) -> tuple[Array, Array]:
        if not shared:
            each = jax.vmap(one)(parameters, markets)
            return each.sum(), each.mean()
        index = step.astype(jnp.uint32) * jnp.uint32(schedule.batch) + jnp.arange(schedule.batch, dtype=jnp.uint32)
        drawn = jax.vmap(lambda i: markets(jr.fold_in(root, i)))(index)
        each = jax.vmap(one, in_axes=(None, 0))(parameters, drawn)
        return each.mean(), each.mean()

    project = instrument.project if shared else jax.vmap(instrument.project)
    seen = sample if shared else markets

    @jax.jit
    def advance(state: Any, step: Array) -> tuple[Any, Array]:
        parameters, memory = state
        (_, shown), slope = jax.value_and_grad(loss, has_aux=True)(parameters, step)
        lost = sum((~jnp.isfinite(g)).sum(dtype=jnp.int32) for g in jax.tree.leaves(slope))
        slope = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), slope)
        # Optax mixes types of numbers, which a caller may have forbidden.
        with jax.numpy_dtype_promotion("standard"):
            change, memory = optimiser.update(slope, memory)
        moved = jax.tree.map(lambda at, by: at + by.astype(at.dtype), parameters, change)
        return (project(moved, seen), memory), jnp.stack([shown, jnp.asarray(lost, shown.dtype)])

    begin = instrument.start(sample) if shared else jax.vmap(instrument.start)(markets)
    return advance, (begin, optimiser.init(begin))


def _run(advance, state, history: list[list[float]], schedule: Schedule, mark: "_Checkpoint | None", progress) -> Any:
    """Takes the steps that are left; returns the last state. `history` gets loss and lost entries of every step."""
    if mark is not None:
        state, history[:] = mark.read(state)
    for step in range(len(history), schedule.steps):
        check()
        state, shown = advance(state, jnp.asarray(step, jnp.int32))
        history.append(np.asarray(shown).tolist())
        if (step + 1) % schedule.every == 0 or step + 1 == schedule.steps:
            if mark is not None:
                mark.write(state, history)
            if progress is not None:
                progress(step + 1, history[-1][0])
    return state


def _identity(objective, instrument, markets, labels, delta, schedule: Schedule, seed: int) -> str:
    """What a run depends on, as a hash."""
    if isinstance(markets, Market):
        content = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(markets))
        drawn = hashlib.sha256(content).hexdigest()
    else:
        drawn = repr(markets)
    settings = {name: value for name, value in asdict(schedule).items() if name not in ("every", "held_out")}
    named = objective if isinstance(objective, str) else getattr(objective, "__qualname__", repr(objective))
    text = json.dumps([named, repr(instrument), drawn, list(labels), float(delta), settings, seed])
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Checkpoint:
    """Where a run of so many steps is kept."""

    path: Path
    identity: str
    steps: int

    def read(self, state: Any) -> tuple[Any, list[list[float]]]:
        """The state and the history that are kept, or what there is at the start."""
        sweep(self.path.parent)
        if not self.path.exists():
            return state, []
        old, tree = jax.tree.flatten(state)
        leaves = [f"leaf{n}" for n in range(len(old))]
        kept = read_archive(
            self.path, (_HISTORY, *leaves), "checkpoint of tuning", values="any", texts=(_IDENTITY,), check=_check_kept
        )
        if str(kept[_IDENTITY]) != self.identity:
            raise ValueError(f"{self.path}: belongs to another run of tuning; choose another file.")
        # Whoever knows the run's identity could still have written anything.
        for name, like in zip(leaves, old, strict=True):
            if name not in kept or kept[name].shape != like.shape:
                raise ValueError(f"{self.path}: its {name} is not of shape {like.shape}, which this run needs.")
        if len(kept[_HISTORY]) > self.steps:
            raise ValueError(f"{self.path}: has taken {len(kept[_HISTORY]):,} steps of {self.steps:,}.")
        restored = [jnp.asarray(kept[name], like.dtype) for name, like in zip(leaves, old, strict=True)]
        return jax.tree.unflatten(tree, restored), kept[_HISTORY].astype(np.float64).tolist()

    def write(self, state: Any, history: list[list[float]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        leaves = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(state))}
        known = {_IDENTITY: np.asarray(self.identity), _HISTORY: np.asarray(history)}
        write_archive(self.path, known | leaves, replace=True)


def _check_kept(shapes: Mapping[str, tuple[int, ...]]) -> None:
    if shapes.get(_IDENTITY) != () or len(history := shapes.get(_HISTORY, ())) != 2 or history[1] != 2:
        raise ValueError("it is no checkpoint of tuning: it does not say which run it belongs to, and what was seen.")
