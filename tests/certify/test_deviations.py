"""Exact bounds on deviations: against the slow twin, with changed multipliers and replies, and planted wrong claims."""

import re
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import cases
import jax
import numpy as np
import pytest

import pluraljax as plx
from pluraljax import _proposals
from pluraljax._certify._conversations import (
    played,
    probabilities,
    profile_standing,
    respond,
    silent_standing,
    stakes_of,
)
from pluraljax._certify._deviation._claims import equilibrium_question, gain_of, silence_question
from pluraljax._certify._market import exact_market
from pluraljax._certify._rational import exact

sys.path.append(str(Path(__file__).parent.parent / "deviation"))
import deviation_oracle as oracle

SHAPE = cases.Shape(providers=2, users=2, evidence=3, states=3, actions=2)
TOGETHER = (0, 0)
CLOSE = 1e-8


@cache
def markets():
    """Two that are drawn, one with ties, and one in which silence is an equilibrium."""
    drawn = [cases.as_market(cases.build(name, 3, SHAPE)) for name in ("observed", "gaussian", "integers")]
    user = np.eye(2, 3)
    scales = np.array([[1.0, -2.0], [-2.0, 1.0]])
    return [*drawn, plx.observed_market(np.stack([user, user]), scales[:, :, None, None] * user)]


@cache
def asked(place):
    """One market, what is proposed for silence and for a random profile, and how things stand in both."""
    market = markets()[place]
    policy = np.random.default_rng(place).dirichlet(np.ones(3), size=(2, 1, 3, 1))
    profile = plx.Profile(policy)
    stakes = stakes_of(exact_market(market))
    silence = _proposals.propose_deviations(market, TOGETHER, 0.0), silent_standing(stakes)
    other = (
        _proposals.propose_deviations(market, TOGETHER, 0.0, profile),
        profile_standing(stakes, played(stakes, [0, 0], profile)),
    )
    twins = oracle.silent_standing(market), oracle.profile_standing(market, [0, 0], policy[:, :, :, 0])
    return market, ((*silence, twins[0]), (*other, twins[1]))


def gains(market, standing, proposal, delta=0.0):
    exactly = exact_market(market)
    stakes = stakes_of(exactly)
    return [gain_of(exactly, stakes, standing, i, proposal, Fraction(delta), "key") for i in range(2)]


@pytest.mark.parametrize("place", range(4))
def test_gains_agree_with_highs(place):
    market, questions = asked(place)
    for proposal, standing, twin in questions:
        np.testing.assert_allclose(np.array(standing.outside, float), twin.outside, atol=1e-12)
        np.testing.assert_allclose(np.array(standing.elsewhere, float), twin.elsewhere, atol=1e-12)
        np.testing.assert_allclose(np.array(standing.present, float), twin.present, atol=1e-12)
        best = oracle.best_gains(market, list(TOGETHER), twin)
        for provider, gain in enumerate(gains(market, standing, proposal)):
            assert all(bound.is_proved for bound in gain.claim.bounds), gain.claim.reason
            assert float(gain.lower) <= best[provider] + CLOSE
            assert best[provider] <= float(gain.upper) + CLOSE
            assert gain.lower <= gain.upper <= gain.private


def test_silence_is_settled_as_it_is_known_to_be():
    market, ((proposal, standing, _), _) = asked(3)
    found = silence_question(gains(market, standing, proposal), "anonymous")
    # The multipliers are floats, and prove no gain of exactly 0.
    wanted = r"silence is a delta-equilibrium for delta >= \d\S*e-16, anonymous, against policies without queries"
    assert found.verdict == "PROVED"
    assert re.fullmatch(wanted, found.statement)
    market, ((proposal, standing, _), _) = asked(0)
    found = gains(market, standing, proposal)
    most = max(gain.upper for gain in found)
    assert most > 0.01
    settled = silence_question(found, "anonymous")
    assert (settled.verdict, settled.statement) == ("PROVED", "silence is no delta-equilibrium, anonymous")
    assert equilibrium_question(found, "profile", "the profile").verdict == "REFUTED"
    patient = gains(market, standing, proposal, float(most) + 1e-6)
    assert equilibrium_question(patient, "profile", "the profile").verdict == "PROVED"
    # The multipliers forgotten, the upper end is too high to tell.
    blank = proposal._replace(prices=jax.tree.map(np.zeros_like, proposal.prices), segments=without_public(proposal))
    left = gains(market, standing, blank, float(most) + 1e-6)
    assert equilibrium_question(left, "profile", "the profile").verdict == "OPEN"


def without_public(proposal):
    return [segment._replace(public=None) for segment in proposal.segments]


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_changed_multipliers_and_replies_still_bound(size):
    generator = np.random.default_rng(5)
    noisy = lambda tree: jax.tree.map(lambda leaf: leaf + size * generator.normal(size=leaf.shape), tree)
    for place in range(4):
        market, questions = asked(place)
        for proposal, standing, twin in questions:
            best = oracle.best_gains(market, list(TOGETHER), twin)
            segments = [
                segment._replace(public=lambda i, public=segment.public: noisy(public(i)))
                for segment in proposal.segments
                if segment.public is not None
            ]
            assert len(segments) == len(proposal.segments)
            changed = proposal._replace(prices=noisy(proposal.prices), policy=noisy(proposal.policy), segments=segments)
            for provider, gain in enumerate(gains(market, standing, changed)):
                assert float(gain.lower) <= best[provider] + CLOSE
                assert best[provider] <= float(gain.upper) + CLOSE


def test_planted_wrong_gains_are_left_open():
    market, ((proposal, standing, _), _) = asked(0)
    for side, change in (("lower", 1e-6), ("upper", -1e-6)):
        wrong = proposal._replace(**{side: getattr(proposal, side) + change})
        for gain in gains(market, standing, wrong):
            assert gain.claim.verdict == "OPEN"
            assert f"the {side} end" in gain.claim.reason
    # A reply that tells nothing wins nobody.
    silent = np.zeros_like(proposal.policy)
    silent[..., 0] = 1.0
    (gain, *_) = (g for g in gains(market, standing, proposal._replace(policy=silent)) if g.upper > 0.01)
    assert gain.lower == 0
    assert gain.claim.verdict == "OPEN"


def test_a_user_breaks_ties_as_she_is_told_or_for_the_provider():
    """Two actions tie after the only signal; the provider likes the second one more."""
    user, prefer = exact([[[1.0, 1.0, 0.0]]]), exact([[[0.0, 2.0, 5.0]]])
    policy = probabilities(np.ones((1, 1, 1)))
    told = lambda action: np.array([[[action]]])
    assert respond(user, policy, prefer).outcome.tolist() == [[[0, 1, 0]]]
    assert respond(user, policy, prefer, told(0)).outcome.tolist() == [[[1, 0, 0]]]
    # She does not do what is worse for her, nor what is no action.
    assert respond(user, policy, prefer, told(2)).outcome.tolist() == [[[0, 1, 0]]]
    assert respond(user, policy, prefer, told(-1)).outcome.tolist() == [[[0, 1, 0]]]
    assert respond(user, policy, prefer, near=Fraction(2)).outcome.tolist() == [[[0, 0, 1]]]


def test_queries_are_asked_by_those_whom_they_serve():
    """Two types, each told the truth under her own query and nothing under the other."""
    user = exact(np.stack([np.diag([0.25, 0.25]), np.diag([0.125, 0.375])]))
    policy = np.zeros((2, 2, 2))
    policy[:, 0], policy[:, 1] = np.eye(2), [[1.0, 0.0], [1.0, 0.0]]
    found = respond(user, probabilities(policy), 0 * user)
    assert found.value == 1
    assert found.outcome.tolist() == np.eye(2)[None].repeat(2, 0).tolist()
