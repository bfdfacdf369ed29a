"""Asks the package and the slow twin the same question, with few shapes: each is compiled once per run."""

import cases
import deviation_oracle as oracle
import jax
import numpy as np

import pluraljax as plx

# Two users who share a policy; the shape that most tests use.
PAIR = cases.Shape(providers=2, users=2, evidence=3, states=3, actions=3)
SIGNALS = 3


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


def ask(market, segments, profile=None, delta=0.0):
    """What the package says, and the gains and the standing by the slow twin; silence where no profile is given."""
    segments = np.asarray(segments, np.int32)
    if profile is None:
        found, standing = plx.silence(market, segments, delta), oracle.silent_standing(market)
    else:
        found = plx.deviation(market, segments, profile, delta)
        standing = oracle.profile_standing(market, segments.tolist(), signals_of(profile))
    return numbers(found), oracle.best_gains(market, segments.tolist(), standing), standing


def check(market, found, gains, slack=1e-8):
    """The bracket holds the oracle's gain, and so does the private bound."""
    room = slack * np.maximum(scale(market), 1.0)
    assert (found.gain.lower >= 0).all()
    assert (found.gain.lower <= gains + room).all(), (found.gain.lower, gains)
    assert (gains <= found.gain.upper + room).all(), (gains, found.gain.upper)
    assert (found.gain.upper <= found.most).all()


def is_closed(market, found):
    return (found.gain.upper - found.gain.lower <= 1e-6 * scale(market) + 1e-12).all()
