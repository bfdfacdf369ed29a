"""What a gradient step of the whole game costs: `python benchmarks/game.py`.

1,000 markets of 3 providers, 3 users, 4 actions and 4 states; conversations of 2 rounds, 3 queries and 3 signals.
A step softens users, evaluates all payoffs, differentiates each provider's objective in its own policies, and takes an
Adam step. It is compared with evaluating all payoffs once, and its arithmetic with a matrix product's in the same run.
"""

import json
import platform
import time

import jax
import jax.numpy as jnp

import pluraljax as plx

MARKETS, WANTED = 1000, 3.0
USERS = tuple(range(3))
CONVERSATION = plx.Conversation(rounds=2, queries=3, signals=3)
FAMILY = plx.families.gaussian(providers=3, users=len(USERS), actions=4, states=4)
STEPS = (50, 100)


def clock(function, *arguments, repeats=7):
    """Seconds of the first call, and the best of some later ones."""
    begin = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    first, times = time.perf_counter() - begin, []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - begin)
    return first, min(times)


def operations(compiled):
    """Floating point operations of a compiled programme, as XLA counts them."""
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return float(cost.get("flops", float("nan")))


def draw_profiles(key):
    """Random policies of every market: `[market provider segment evidence query signal ...]` per round."""
    shapes = CONVERSATION.kernel_shapes(FAMILY(jax.random.key(0)), plx.personalized(len(USERS)))
    keys = jax.random.split(key, len(shapes))
    with jax.enable_x64(True):
        draw = lambda key, shape: jax.random.normal(key, (MARKETS, *shape), jnp.float64)
        return tuple(jax.nn.softmax(draw(key, shape)) for key, shape in zip(keys, shapes, strict=True))


def main():
    print(json.dumps({"jax": jax.__version__, "python": platform.python_version(), "device": str(jax.devices()[0])}))
    markets = jax.vmap(FAMILY)(jax.random.split(jax.random.key(0), MARKETS))
    policies = draw_profiles(jax.random.key(1))
    people = plx.Logit(0.1)

    def evaluate(market, *policy):
        found = plx.payoffs(market, plx.personalized(len(USERS)), CONVERSATION, plx.Profile(policy), people)
        return found.user_value, found.provider_value

    def play(steps):
        annealing = plx.play.Annealing(steps=steps)
        run = lambda market: plx.play.gradient_policies(
            market, plx.personalized(len(USERS)), CONVERSATION, jax.random.key(2), annealing=annealing
        )
        return jax.jit(jax.vmap(run))

    first, once = clock(jax.jit(jax.vmap(evaluate)), markets, *policies)
    few, many = (clock(play(steps), markets) for steps in STEPS)
    step = (many[1] - few[1]) / (STEPS[1] - STEPS[0])
    work = operations(jax.jit(jax.vmap(evaluate)).lower(markets, *policies).compile())
    size = 1024
    with jax.enable_x64(True):
        matrix = jax.random.normal(jax.random.key(3), (size, size), jnp.float64)
        _, product = clock(jax.jit(jnp.dot), matrix, matrix)
    peak = 2 * size**3 / product
    report = {
        "evaluation, microseconds a market": 1e6 * once / MARKETS,
        "gradient step, microseconds a market": 1e6 * step / MARKETS,
        "gradient step over evaluation": step / once,
        "wanted at most": WANTED,
        "steps of 1,000 markets per second": 1 / step,
        "first calls, compilation included, seconds": [first, few[0], many[0]],
        "operations of an evaluation, per market": work / MARKETS,
        "matrix product, operations per second": peak,
        "evaluation's share of that": work / once / peak,
        "gradient step's share, at least twice an evaluation's operations": 2 * work / step / peak,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
