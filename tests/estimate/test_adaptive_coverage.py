"""Adaptive scans of an event whose probability is known: their intervals cover it, whatever made them stop."""

import math
from math import comb

import numpy as np
import pytest

from pluraljax._scan.config._stopping import State, first_look, is_narrow, replay
from pluraljax._scan.config._until import Until
from pluraljax._statistics._intervals import clopper_pearson, confidence_sequence

SCANS = 1000


def wendel(providers, dimension):
    """Probability that the centre lies in the hull of points drawn from a symmetric cloud (Wendel 1962)."""
    return 1 - sum(comb(providers - 1, i) for i in range(dimension)) / 2 ** (providers - 1)


def centre_in_hull(rng, scans, markets, providers):
    """Draws providers around a user in the plane, and says in which markets she is in their hull: no open half-plane
    through her is without a provider, so no two neighbouring directions are half a turn apart."""
    points = rng.normal(size=(scans, markets, providers, 2)).astype(np.float32)
    angles = np.sort(np.arctan2(points[..., 1], points[..., 0]), axis=-1)
    gaps = np.diff(np.concatenate([angles, angles[..., :1] + 2 * np.float32(math.pi)], axis=-1), axis=-1)
    return (gaps.max(axis=-1) < math.pi).astype(np.int8)


def sample(until, codes, most):
    """One adaptive scan: it sees the markets up to each look, and no more."""
    verdict = replay(until, codes[:0], most)
    while verdict.state is State.UNFINISHED:
        verdict = replay(until, codes[: verdict.look], most)
    return verdict


@pytest.mark.parametrize(
    ("providers", "half_width", "most"),
    [
        (3, 0.1, 640),
        # A cap that stops most of the scans before their intervals are narrow.
        (4, 0.1, 290),
    ],
)
def test_intervals_of_a_thousand_adaptive_scans_cover_wendels_probability(providers, half_width, most):
    rng = np.random.default_rng(providers + most)
    until = Until("weakly_aligned", half_width)
    codes, truth = centre_in_hull(rng, SCANS, most, providers), wendel(providers, 2)
    assert abs(codes.mean() - truth) < 5 * math.sqrt(truth * (1 - truth) / codes.size)
    verdicts = [sample(until, each, most) for each in codes]
    shares = [verdict.share for verdict in verdicts]
    assert shares[0].interval(until.confidence) == _ends(shares[:1])[0]
    ends = _ends(shares)
    assert sum(low <= truth <= high for low, high in ends) >= 0.95 * SCANS
    for verdict, (low, high) in zip(verdicts, ends, strict=True):
        assert verdict.state is not State.UNFINISHED
        assert verdict.share.trials == verdict.sampled <= most
        if verdict.state is State.NARROW:
            assert high - low <= 2 * half_width
        else:
            assert verdict.sampled == most
    capped = sum(verdict.state is State.CAPPED for verdict in verdicts)
    assert (capped > SCANS / 2) == (most == 290)
    assert len({verdict.sampled for verdict in verdicts}) > 1


def _ends(shares):
    lower, upper = confidence_sequence([share.yes for share in shares], [share.trials for share in shares])
    return list(zip(lower.tolist(), upper.tolist(), strict=True))


def test_scans_that_stop_once_they_know_which_is_likelier_need_the_sequence():
    # Four providers in the plane: probability 1/2. Somebody looks every 20 markets whether the interval leaves out 1/2.
    codes, truth = centre_in_hull(np.random.default_rng(0), SCANS, 600, 4), wendel(4, 2)
    assert truth == 0.5
    sums = codes.cumsum(axis=1)
    looks = np.arange(20, 601, 20)
    wrong = {}
    for name, interval in {"peeked": clopper_pearson, "sequence": _sequence}.items():
        lower, upper = interval(sums[:, looks - 1], looks)
        wrong[name] = ((lower > truth) | (upper < truth)).any(axis=1).mean()
    assert wrong["sequence"] <= 0.05
    # Planted wrong: a nominal 5 % becomes more than three times as much.
    assert wrong["peeked"] > 0.15


def _sequence(successes, trials):
    pairs, back = np.unique(
        np.stack(np.broadcast_arrays(successes, trials)).reshape(2, -1), axis=1, return_inverse=True
    )
    lower, upper = confidence_sequence(*pairs)
    return lower[back].reshape(successes.shape), upper[back].reshape(successes.shape)


@pytest.mark.parametrize("until", [Until("weakly_aligned"), Until("weakly_aligned", 0.2, 0.8)])
def test_no_look_comes_before_an_interval_can_be_narrow(until):
    look = first_look(until, 10**6)
    assert look % 32 == 0
    for codes in (np.zeros(look, np.int8), np.ones(look, np.int8)):
        assert replay(until, codes, 10**6).state is State.NARROW
        assert replay(until, codes[: look - 33], 10**6).state is State.UNFINISHED
    # Stopping at all markets that would do is not later than a step of 32.
    early = np.zeros(look - 32, np.int8)
    assert replay(until, early, look - 32).state is State.CAPPED


def test_open_and_invalid_markets_never_make_a_cell_stop_early():
    rng = np.random.default_rng(1)
    until, most = Until("weakly_aligned", 0.1), 3000
    codes = (rng.random(most) < 0.9).astype(np.int8)
    plain = sample(until, codes, most)
    assert plain.state is State.NARROW
    # Every fifth is open: the interval cannot become narrower than a fifth.
    doubtful = codes.copy()
    doubtful[::5] = -1
    capped = replay(until, doubtful, most)
    assert (capped.state, capped.sampled, capped.share.open) == (State.CAPPED, most, most // 5)
    # Rows that held no market are sampled, and are no trials.
    invalid = np.full(2 * most, -2, np.int8)
    invalid[::2] = codes
    late = sample(until, invalid, 2 * most)
    assert late.state is State.NARROW
    assert late.share.invalid == late.sampled // 2
    assert late.share.trials == late.sampled // 2
    assert is_narrow(until, late.share)


def test_what_is_stored_beyond_a_stop_counts_too():
    rng = np.random.default_rng(2)
    codes = (rng.random(4000) < 0.5).astype(np.int8)
    until = Until("weakly_aligned", 0.1)
    stop = sample(until, codes, 4000)
    more = replay(until, codes, 4000)
    assert stop.sampled < 1000
    assert (more.state, more.sampled, more.share.trials) == (State.NARROW, 4000, 4000)
