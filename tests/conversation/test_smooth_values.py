"""A policy's value with smoothed maxima: against a recursive twin, between the rational value and its bound."""

import conversation_oracle as oracle
import jax
import jax.numpy as jnp
import numpy as np
from conversation_oracle import Talk
from test_logit_users import SHAPE, make

from pluraljax._conversation import as_kernels, smooth_value
from pluraljax._payoff import lay_out_game

TALK = Talk()
CHEAP = {"xla_backend_optimization_level": 0}


def slow_value(user, probability, kernels, temperature):
    """The definition, transcript by transcript: `user` is [type evidence action]."""

    def smooth(values, size):
        if size == 0 or temperature == 0:
            return max(values)
        return size * temperature * np.logaddexp.reduce(np.array(values) / (size * temperature))

    def follow(turn, likelihood, path, kind):
        size = (probability[kind] * likelihood).sum()
        if turn == len(kernels):
            return smooth(list(likelihood @ user[kind]), size)
        queries, signals = kernels[turn].shape[-2:]
        options = []
        for query in range(queries):
            heard = kernels[turn][(slice(None), *path, query)]
            options.append(
                sum(
                    follow(turn + 1, likelihood * heard[:, signal], (*path, query, signal), kind)
                    for signal in range(signals)
                )
            )
        return smooth(options, size)

    return sum(follow(0, np.ones(user.shape[1]), (), kind) for kind in range(user.shape[0]))


@jax.jit
def found_values(user, probability, policies, temperature):
    return jax.vmap(lambda u, p, *policy: smooth_value(u, p, as_kernels(policy), temperature))(
        user, probability, *policies
    )


def test_smooth_values_are_those_of_the_slow_twin_and_just_above_rational_ones():
    generator = np.random.default_rng(5)
    with jax.enable_x64(True):
        program = None
        for seed, name in enumerate(("keen", "skewed", "integers_unseen")):
            game = lay_out_game(make(name, seed), tuple(range(SHAPE.users)))
            user, probability = np.asarray(game.user), np.asarray(game.probability)
            policies = tuple(each[0] for each in oracle.random_policies(generator, TALK, SHAPE, SHAPE.users))
            arrays = (game.user, game.probability, tuple(map(jnp.asarray, policies)))
            program = program or found_values.lower(*arrays, jnp.float64(1.0)).compile(CHEAP)  # pyright: ignore[reportArgumentType]
            cold = np.array(
                [slow_value(user[j], probability[j], [k[j] for k in policies], 0) for j in range(SHAPE.users)]
            )
            for temperature in (1.0, 0.03):
                found = np.asarray(program(*arrays, jnp.float64(temperature)))
                wanted = [
                    slow_value(user[j], probability[j], [k[j] for k in policies], temperature)
                    for j in range(SHAPE.users)
                ]
                np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
                choices = TALK.rounds * np.log(TALK.queries) + np.log(SHAPE.actions)
                assert (found >= cold - 1e-12).all()
                assert (found <= cold + temperature * choices + 1e-12).all()
                assert (found > cold + 1e-6).any()
