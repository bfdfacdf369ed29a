"""What gradient play reaches: `python benchmarks/play.py [QUESTION ...] [--markets N]`, questions as follows.

`replies`: one provider, one round, one query; how much of the exact optimum its gradient best reply gains, by family.
`sizes`: the same in `gaussian` markets of three sizes, with the processor's time a market.
`menus`: the same in a market where types have to be screened (the best menu gains 1/2, the best policy without queries
1/5): from 64 starts, one by one, and with default settings.
`personalized`: markets with weak alignment error 0; how far below aligned utility the certified equilibria from 16
starts are.
`anonymous`: `opposed` markets with a common decision problem; how many starts end in equilibria below aligned utility.
"""

import argparse
import functools
import json
import time

import jax
import jax.random as jr
import numpy as np
from scipy.stats import beta

import pluraljax as plx

STARTS, WANTED = 16, 0.99
SMALL = {"providers": 1, "users": 1, "actions": 3, "states": 4}
REPLY_FAMILIES = {
    "gaussian, alignment 0": plx.families.gaussian(**SMALL, alignment=0.0),
    "gaussian": plx.families.gaussian(**SMALL),
    "spatial": plx.families.spatial(providers=1, users=1, dimension=1, actions_per_side=3, states_per_side=4),
    "opposed": plx.families.opposed(**SMALL),
    "conic, perturbation 0.5": plx.families.conic(**SMALL, perturbation=0.5),
}
SIZES = ((3, 4), (6, 8), (10, 16))  # actions and states
# One user of two types, and a provider that sees one of two evidences, all four pairs equally likely: [action, state].
SCREENED_USER = np.array([[-3.0, 0.0, 2.0, 1.0], [2.0, -1.0, -3.0, 1.0], [3.0, -3.0, -3.0, 1.0]])
SCREENING_PROVIDER = np.array([[3.0, -3.0, -3.0, -1.0], [-2.0, 2.0, -2.0, 1.0], [-1.0, -1.0, -1.0, -3.0]])
SINGLE_STARTS = 64
SHAPE = {"users": 2, "actions": 3, "states": 3}
ALIGNED_FAMILIES = {
    "conic, perturbation 0": plx.families.conic(providers=3, **SHAPE, perturbation=0.0),
    "opposed": plx.families.opposed(providers=3, **SHAPE),
}


def interval(count, total, confidence=0.95):
    """Clopper and Pearson's interval for a proportion."""
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, count, total - count + 1) if count else 0.0
    high = beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    return [float(low), float(high)]


def draw(family, count, key=0):
    keys = jr.split(jr.key(key), count)
    return jax.vmap(family)(keys), keys


@jax.jit
@jax.vmap
def reply(market, key):
    talk = plx.Conversation()
    silent = plx.play.silent_profile(market, plx.personalized(1), talk)
    found = plx.best_response(market, plx.personalized(1), talk, silent, key)
    return found.gain[0], found.relaxed_gain[0], found.value.upper[0], found.ratio[0], found.status[0]


def in_chunks(function, count, *arguments, chunk=250):
    """Calls a batched function part by part: bounds memory, and compiles once where parts divide the whole."""
    parts = [
        function(*jax.tree.map(lambda leaf, at=at: leaf[at : at + chunk], arguments)) for at in range(0, count, chunk)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)


def replies(count):
    for name, family in REPLY_FAMILIES.items():
        gain, relaxed, upper, ratio, status = in_chunks(reply, count, *draw(family, count))
        size = 1e-9 * np.abs(upper).max()
        reached = int((ratio >= WANTED).sum())
        yield {
            "family": name,
            "markets": count,
            "share that reaches 99 %": reached / count,
            "interval": interval(reached, count),
            "share with nothing to gain": float((upper <= size).mean()),
            "median ratio": float(np.median(ratio)),
            "least ratio": float(ratio.min()),
            "gain above its upper end, at most": float((gain - upper).max()),
            "relaxed gain above it, at most": float((relaxed - upper).max()),
            "not OK": int((status != plx.Status.OK).sum()),
        }


def sizes(count):
    for actions, states in SIZES:
        markets, keys = draw(plx.families.gaussian(providers=1, users=1, actions=actions, states=states), count)
        chunk = min(count, 250)
        jax.block_until_ready(reply(*jax.tree.map(lambda leaf, size=chunk: leaf[:size], (markets, keys))))
        begin = time.process_time()
        ratio = in_chunks(reply, count, markets, keys)[3]
        seconds = time.process_time() - begin
        reached = int((ratio >= WANTED).sum())
        yield {
            "actions": actions,
            "states": states,
            "markets": count,
            "milliseconds of processor time a market": 1e3 * seconds / count,
            "share that reaches 99 %": reached / count,
            "interval": interval(reached, count),
            "hundredth quantile of ratios": float(np.quantile(ratio, 0.01)),
            "least ratio": float(ratio.min()),
        }


def screening_market():
    prior = np.zeros((1, 2, 2, 4))
    for kind, evidence in np.ndindex(2, 2):
        prior[0, kind, evidence, 2 * kind + evidence] = 0.25
    return plx.Market(prior, SCREENED_USER[None], SCREENING_PROVIDER[None, None], np.ones(1))


def menus(count):  # one market
    market, talk = screening_market(), plx.Conversation(queries=2)
    silent = plx.play.silent_profile(market, plx.personalized(1), talk)
    for settings in ({"starts": 1}, {}):
        run = lambda key, settings=settings: plx.best_response(
            market, plx.personalized(1), talk, silent, key, **settings
        )
        found = jax.jit(jax.vmap(run))(jr.split(jr.key(0), SINGLE_STARTS))
        ratio = np.asarray(found.ratio)[:, 0]
        yield {
            "settings": settings or "default",
            "keys": SINGLE_STARTS,
            "share that reaches 99 %": float((ratio >= WANTED).mean()),
            "least gain": float(np.asarray(found.gain).min()),
            "optimum": float(np.asarray(found.value.upper).max()),
        }


@functools.partial(jax.jit, static_argnums=2)
def find(market, key, segments):
    run = lambda market, key: plx.equilibrium(market, np.array(segments), key=key, starts=STARTS).found
    return jax.vmap(run)(market, key)


def personalized(count):
    for name, family in ALIGNED_FAMILIES.items():
        markets, keys = draw(family, count)
        alignment, marks = jax.jit(jax.vmap(plx.weak_alignment))(markets), jax.jit(jax.vmap(plx.benchmarks))(markets)
        scale = np.ptp(np.asarray(markets.user_value), axis=(2, 3))
        holds = (np.asarray(alignment.value.upper) <= 1e-9 * scale).all(axis=1)
        found = in_chunks(lambda market, key: find(market, key, (0, 1)), count, markets, keys)
        certified = found.holds[holds] == plx.Truth.HOLDS
        lost = (np.asarray(marks.aligned)[:, None] - found.user_value)[holds] / scale[holds][:, None]
        weights = np.asarray(alignment.weights).sum(axis=-1) / np.asarray(markets.mass)
        allowed = found.value.upper.max(axis=-1)[holds][..., None] * (weights / scale)[holds][:, None]
        yield {
            "family": name,
            "markets with weak error 0": int(holds.sum()),
            "starts": int(certified.size),
            "certified": int(certified.sum()),
            "largest loss of a user, share of her range": float(lost[certified].max()),
            "above 1e-6 and what the certified gain allows": int((lost > 1e-6 + allowed)[certified].any(axis=-1).sum()),
        }


def anonymous(count):
    family = plx.families.opposed(providers=2, **SHAPE, common_decision=True)
    markets, keys = draw(family, count)
    alignment, marks = jax.jit(jax.vmap(plx.weak_alignment))(markets), jax.jit(jax.vmap(plx.benchmarks))(markets)
    scale = np.ptp(np.asarray(markets.user_value), axis=(2, 3))
    found = in_chunks(lambda market, key: find(market, key, (0, 0)), count, markets, keys)
    certified = found.holds == plx.Truth.HOLDS
    below = (found.user_value < np.asarray(marks.aligned)[:, None] - 1e-6 * scale[:, None]).any(axis=-1) & certified
    for name, among in (
        ("all", np.ones(count, bool)),
        ("weak error 0", (np.asarray(alignment.value.upper) <= 1e-9 * scale).all(axis=1)),
    ):
        some, total = int(below[among].any(axis=1).sum()), int(among.sum())
        yield {
            "markets": name,
            "number": total,
            "starts": int(certified[among].size),
            "certified": int(certified[among].sum()),
            "starts below aligned": int(below[among].sum()),
            "markets with one below": some,
            "share of markets": some / total,
            "interval": interval(some, total),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    questions = {each.__name__: each for each in (replies, sizes, menus, personalized, anonymous)}
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(questions))
    parser.add_argument("--markets", type=int, default=1000)
    arguments = parser.parse_args()
    for name in arguments.questions or questions:
        for row in questions[name](arguments.markets):
            print(json.dumps({"question": name} | row), flush=True)


if __name__ == "__main__":
    main()
