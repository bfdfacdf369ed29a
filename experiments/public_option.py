"""Which entrant helps users most, where all incumbents share a bias?

In `gaussian` markets with a shared bias incumbents want what the user wants, plus a bias that they have in common. A
public option enters. Its objective is a rule over what it can know without asking each user (the average user's
utility, and what incumbents want), tuned by gradient on fresh markets. On held-out markets the certified worst
personalized equilibrium (silent = 0, aligned = 1, mean over a market's users) is compared, market by market, with that
of the same market without an entrant, with a random one (drawn like the incumbents), with a copy of an incumbent, and
with one that wants the average user's utility.

    python experiments/public_option.py [--markets 2000] [--steps 300] [--out experiments/output/public_option]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from study import STYLES, Estimate, draw_markets, mean, on_scale, run_study

import pluraljax as plx


@dataclass(frozen=True)
class Config:
    """What defines the numbers; users of 3 actions and 3 states. Tuning draws its markets from `seed`, too."""

    markets: int = 2000
    seed: int = 0
    steps: int = 300
    batch: int = 64
    incumbents: int = 2
    users: int = 3
    shared: tuple[float, ...] = (0.5, 1.0, 2.0)
    idiosyncratic: float = 0.5
    objective: str = "worst"


@dataclass(frozen=True)
class Result:
    """One entrant: certified worst equilibrium, by how much the tuned entrant's is better, and its weak error.

    `open` counts markets whose brackets stay open; the lower ends count then. `rule` are the tuned weights.
    """

    shared: float
    entrant: str
    worst: Estimate
    lead: Estimate
    weak_error: Estimate
    open: int
    rule: tuple[float, ...]
    history: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class Incumbents:
    """Markets of the incumbents alone, as a function of a key; the family draws one provider more."""

    family: plx.families.gaussian

    def __call__(self, key):
        market = self.family(key)
        return eqx.tree_at(lambda m: m.provider_value, market, market.provider_value[:-1])


def with_entrant(markets: plx.Market, objective) -> plx.Market:
    values = jnp.concatenate([markets.provider_value, jnp.asarray(objective)[:, None]], axis=1)
    return eqx.tree_at(lambda m: m.provider_value, markets, values)


def arms(config: Config, drawn: plx.Market, rule: np.ndarray) -> dict[str, plx.Market]:
    """The same markets with every kind of entrant; the drawn ones hold the random entrant as their last provider."""
    alone = eqx.tree_at(lambda m: m.provider_value, drawn, drawn.provider_value[:, :-1])
    enter = jax.jit(jax.vmap(plx.tuning.Entrant().apply, in_axes=(None, 0)))
    return {
        "none": alone,
        "copy of an incumbent": with_entrant(alone, alone.provider_value[:, 0]),
        "random": drawn,
        "average user": enter(jnp.asarray([1.0, 0.0, 0.0]), alone),
        "tuned": enter(jnp.asarray(rule), alone),
    }


def measure(config: Config) -> Iterator[Result]:
    for shared in config.shared:
        family = plx.families.gaussian(
            providers=config.incumbents + 1,
            users=config.users,
            shared=shared,
            idiosyncratic=config.idiosyncratic,
        )
        schedule = plx.tuning.Schedule(steps=config.steps, batch=config.batch, held_out=1)
        chosen = {"schedule": schedule, "seed": config.seed}
        tuned = plx.tuning.tune(config.objective, plx.tuning.Entrant(), Incumbents(family), **chosen)
        # Another seed: no step of tuning saw these markets.
        drawn = draw_markets(family, config.markets, config.seed + 1)
        everyone = tuple(range(config.users))
        found = {
            name: plx.tuning.certify_rule(None, (), markets, everyone)
            for name, markets in arms(config, drawn, tuned.parameters).items()
        }
        # Users for whom conversation is worth nothing have no place on the scale.
        marks = jax.vmap(plx.benchmarks)(drawn)
        scaled = {name: on_scale(c.worst_lower, marks) for name, c in found.items()}
        share = {name: np.ma.masked_invalid(each).mean(axis=1).filled(np.nan) for name, each in scaled.items()}
        for name, certified in found.items():
            yield Result(
                shared=shared,
                entrant=name,
                worst=mean(share[name]),
                lead=mean(share["tuned"] - share[name]),
                weak_error=mean(certified.weak_error.mean(axis=1)),
                open=int((certified.status != 0).sum()),
                rule=tuple(np.asarray(tuned.parameters).round(4).tolist()) if name == "tuned" else (),
                history=tuple(tuned.history.tolist()) if name == "tuned" else (),
            )


def draw(results: list[Result], config: Config) -> Figure:
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    names = list(dict.fromkeys(row.entrant for row in results))
    for style, shared in enumerate(config.shared):
        rows = [row for row in results if row.shared == shared]
        color, marker, line = STYLES[style % len(STYLES)]
        history = np.array(rows[-1].history)
        width = min(20, len(history))
        smooth = np.convolve(history, np.ones(width) / width, "valid")
        left.plot(range(width, len(history) + 1), smooth, color=color, linestyle=line, label=f"shared bias {shared:g}")
        middle = np.array([row.worst.value for row in rows])
        ends = np.abs([[row.worst.low for row in rows] - middle, [row.worst.high for row in rows] - middle])
        places = np.arange(len(rows)) + 0.16 * (style - (len(config.shared) - 1) / 2)
        right.errorbar(middle, places, xerr=ends, color=color, marker=marker, linestyle="", capsize=3, markersize=5)
    left.set(xlabel="step", ylabel=f"relaxed loss ({config.objective}), mean of 20 steps", title="tuning")
    left.legend(frameon=False, fontsize=8)
    right.set_yticks(range(len(names)), names)
    right.set(xlabel="certified worst equilibrium (0 silent, 1 aligned)", title="held-out markets, 95 % intervals")
    figure.suptitle(f"One entrant for all; {config.markets:,} markets of {config.incumbents} incumbents", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("public_option", __doc__, Config, measure, draw)
