"""How much do users lose when they err, and do they still get what an aligned model would give rational ones?

Users choose providers and actions by logit at a temperature (a share of their payoff range): the higher, the less
rational. Providers play gradient dynamics against such people, personalized, from full information. The script follows
what users then get (silent = 0, aligned = 1), and checks the bound of logit choice: a user gets at least what her best
offer is worth to a rational user less T (log actions + log providers).

    python experiments/bounded_users.py [--markets 128] [--steps 200] [--out experiments/output/bounded_users]
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.random as jr
import numpy as np
from matplotlib.figure import Figure
from study import Estimate, bars, draw_markets, in_tiles, mean, on_scale, panels, payoff_range, run_study

import pluraljax as plx

USERS, TALK = 2, plx.Conversation(signals=3)


@dataclass(frozen=True)
class Config:
    """What defines the numbers; the market has 2 users, 3 actions and 3 states. Temperatures in payoff ranges."""

    markets: int = 128
    seed: int = 0
    providers: int = 3
    steps: int = 200
    temperatures: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.001)
    biases: tuple[float, ...] = (0.25, 1.0)


@dataclass(frozen=True)
class Result:
    """One bias and temperature. `violations` counts users who get less than the bound allows."""

    bias: float
    temperature: float
    violations: int
    logit: Estimate
    rational: Estimate
    bound: Estimate


def measure(config: Config) -> Iterator[Result]:
    segments = plx.personalized(USERS)
    for temperature in config.temperatures:
        annealing = plx.play.Annealing(steps=config.steps, hottest=max(0.03, temperature), coldest=temperature)

        @jax.jit
        @jax.vmap
        def program(market: plx.Market, size: jax.Array, annealing=annealing, temperature=temperature):
            profile = plx.play.gradient_policies(
                market, segments, TALK, jr.key(0), start="informative", annealing=annealing
            )
            # One temperature for all users of a market: that share of the largest of their ranges.
            people = plx.Logit(size * temperature)
            softly = plx.payoffs(market, segments, TALK, profile, people)
            exactly = plx.payoffs(market, segments, TALK, profile)
            return softly.user_value, exactly.user_value, exactly.offer_value, plx.benchmarks(market)

        for bias in config.biases:
            family = plx.families.gaussian(providers=config.providers, users=USERS, idiosyncratic=bias)
            markets = draw_markets(family, config.markets, config.seed)
            size = payoff_range(markets).max(axis=1)
            soft, exact, offers, base = in_tiles(program, config.markets, markets, size)
            cost = temperature * size[:, None] * np.log(3 * config.providers)
            bound = offers.max(axis=1) - cost
            on = lambda value, base=base: mean(np.nanmean(on_scale(value, base), axis=1))
            yield Result(
                bias=bias,
                temperature=temperature,
                violations=int((soft < bound - 1e-9 * size[:, None]).sum()),
                logit=on(soft),
                rational=on(exact),
                bound=on(bound),
            )


def draw(results: list[Result], config: Config) -> Figure:
    figure, axes = panels(len(config.biases), sharey=True)
    for panel, bias in zip(axes, config.biases, strict=True):
        rows = [row for row in results if row.bias == bias]
        x = [row.temperature for row in rows]
        bars(panel, x, [row.logit for row in rows], 0, "users who err")
        bars(panel, x, [row.rational for row in rows], 1, "rational users, same policies")
        bars(panel, x, [row.bound for row in rows], 2, "bound of logit choice")
        panel.axhline(1.0, color="0.6", linewidth=0.8)
        panel.set(xscale="log", xlabel="temperature (share of payoff range)", title=f"bias {bias:g}", ylim=(-1.1, 1.1))
        panel.legend(frameon=False, fontsize=8)
    axes[0].set(ylabel="users' value (0 silent, 1 aligned)")
    figure.suptitle(f"{config.markets:,} markets a point, 95 % intervals", fontsize=9)
    return figure


if __name__ == "__main__":
    run_study("bounded_users", __doc__, Config, measure, draw)
