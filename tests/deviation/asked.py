"""Asks the package and the slow twin the same question, with few shapes: each is compiled once per run, and cheaply."""

import functools

import cases
import deviation_oracle as oracle
import jax
import numpy as np

import pluraljax as plx

# Two users who share a policy; the shape that most tests use.
PAIR = cases.Shape(providers=2, users=2, evidence=3, states=3, actions=3)
SIGNALS = 3
# Half the time to compile, for the price of a slower run.
CHEAP = {"xla_backend_optimization_level": 0}


def numbers(found):
    return jax.tree.map(np.asarray, found)


def scale(market):
    """The range of each provider's objective."""
    values = np.asarray(market.provider_value)
    return np.ptp(values, axis=(2, 3)) @ np.asarray(market.mass)


def random_profile(generator, shape, segments, signals=SIGNALS):
    groups = len(set(segments))
    policy = generator.dirichlet(np.full(signals, 0.5), size=(shape.providers, groups, shape.evidence, 1))
    return plx.Profile(policy)


def signals_of(profile):
    """`policy[provider segment evidence signal]` of a profile without queries."""
    return np.asarray(profile.policy)[:, :, :, 0]


def silence(market, segments, delta=0.0):
    return _compiled(plx.silence, _labels(segments))(market, delta=_number(delta))


def deviation(market, segments, profile, delta=0.0):
    """Unless they are given, recommendations and choices that nobody can follow: one programme serves all profiles."""
    providers, users, types = market.num_providers, market.num_users, market.prior.shape[1]
    blank = lambda *shape: np.full(shape, -1, np.int32)
    told = (providers, users, types, *profile.policy.shape[3:])
    profile = plx.Profile(
        profile.policy,
        blank(*told) if profile.recommended is None else profile.recommended,
        blank(providers, users, types) if profile.asked is None else profile.asked,
        blank(users) if profile.choice is None else profile.choice,
    )
    return _compiled(plx.deviation, _labels(segments))(market, profile=profile, delta=_number(delta))


def _labels(segments):
    """Numbers in the order of the labels, which are what counts."""
    return tuple(np.unique(np.asarray(segments), return_inverse=True)[1].tolist())


def _number(delta):
    with jax.enable_x64(True):
        return jax.numpy.asarray(delta, jax.numpy.float64)


@functools.cache
def _compiled(question, segments):
    run = jax.jit(lambda market, **given: question(market, np.array(segments, np.int32), **given))
    programmes = {}

    def ask_one(market, **given):
        shapes = str(jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (market, given)))
        if shapes not in programmes:
            programmes[shapes] = run.lower(market, **given).compile(CHEAP)
        return numbers(programmes[shapes](market, **given))

    return ask_one


def ask(market, segments, profile=None, delta=0.0):
    """What the package says, and the gains and the standing by the slow twin; silence where no profile is given."""
    segments = np.asarray(segments, np.int32)
    if profile is None:
        found, standing = silence(market, segments, delta), oracle.silent_standing(market)
    else:
        found = deviation(market, segments, profile, delta)
        standing = oracle.profile_standing(market, segments.tolist(), signals_of(profile))
    return found, oracle.best_gains(market, segments.tolist(), standing), standing


def check(market, found, gains, slack=1e-8):
    """The bracket holds the oracle's gain, and so does the private bound."""
    room = slack * np.maximum(scale(market), 1.0)
    assert (found.value.lower >= 0).all()
    assert (found.value.lower <= gains + room).all(), (found.value.lower, gains)
    assert (gains <= found.value.upper + room).all(), (gains, found.value.upper)
    assert (found.value.upper <= found.most).all()


def is_closed(market, found):
    return (found.value.upper - found.value.lower <= 1e-6 * scale(market) + 1e-12).all()
