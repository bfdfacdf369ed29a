"""Worst equilibria of users who share a policy, proved again: what is right is, and what is changed is not."""

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import product

import cases
import deviation_oracle
import jax
import numpy as np
import pytest
import shared_twin

import pluraljax as plx
from pluraljax import _proposals
from pluraljax._certify import _run
from pluraljax._certify._claims import Certificate, allowance
from pluraljax._certify._market import exact_market
from pluraljax._certify._shared import _profile
from pluraljax._certify._shared._bounds import Winnings, bound_losses
from pluraljax._certify._shared._claims import segment_crowd, shared_claims
from pluraljax._certify._shared._cover import everything, leaves, parts_of, simplices
from pluraljax._certify._shared._lower import Cover
from pluraljax._certify._shared._policies import policy_of, read_policy, winning_policy, wins
from pluraljax._certify._shared._profile import Profile, equilibrium_of
from pluraljax._certify._shared._rays import crowd_of as rays_of
from pluraljax._certify._shared._rays import find_rays

TOGETHER = (0, 0)
# Enough to split some markets many times, and few enough to leave some open.
BUDGET = 40
# HiGHS stops at 1e-10, in units of payoffs of order one.
CLOSE = 1e-8


def draw(seed, providers, users=2, states=3, actions=3):
    """Normal payoffs, another prior and mass for every user; providers see the state."""
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.ones(states), size=users)[:, None, :, None] * np.eye(states)
    user = generator.normal(size=(users, actions, states))
    provider = generator.normal(size=(providers, users, actions, states)) + 0.3 * user
    return plx.Market(prior, user, provider, generator.uniform(0.5, 2.0, size=users))


def acting(values):
    return np.stack([0.0 * values, values], axis=-2)


def split_example():
    """Worked by hand in docs/mathematics.md: users split between providers, and user 2 gets nothing."""
    user = np.array([[1.0, -1.0, 1.0], [2.0, 1.0, -2.0]])
    provider = np.array([[[0.0, -2.0, 2.0], [1.0, -1.0, 2.0]], [[-2.0, 0.0, -1.0], [2.0, -2.0, 0.0]]])
    return plx.observed_market(acting(user), acting(provider), mass=np.ones(2))


def opposed(scales):
    """Users share a decision problem, and providers' payoffs are multiples of theirs."""
    user = np.array([[[1.0, 0.0], [0.25, 0.75]]] * 2)
    return plx.observed_market(user, np.array(scales)[:, :, None, None] * user, mass=np.ones(2))


@cache
def known():
    """Markets by name, each with its delta, all of two users who share a policy."""
    markets = {f"{k} providers, {seed}": (draw(seed, k), 0.0) for k in (1, 2, 3) for seed in range(2)}
    build = lambda name, seed=1: cases.as_market(cases.build(name, seed, cases.Shape(providers=2, users=2)))
    markets |= {name: (build(name), 0.0) for name in cases.DEGENERATE}
    markets |= {f"delta, {name}": (build(name, 0), 0.05) for name in ("observed", "common_conic")}
    markets["split"] = split_example(), 0.0
    markets["foes"] = opposed([[1.0, -2.0], [-2.0, 1.0]]), 0.0
    markets["protected"] = opposed([[-1.0, 2.0], [-1.0, 2.0]]), 0.0
    return markets


@cache
def proposal(name):
    market, delta = known()[name]
    (found,), _ = _proposals.propose_shared(market, TOGETHER, delta, BUDGET)
    return found


def claims(name, changed=None):
    market, delta = known()[name]
    return shared_claims(exact_market(market), "anonymous", changed or proposal(name), Fraction(delta))


@cache
def unchanged(name):
    return claims(name)


@cache
def crowd_of(name):
    market, delta = known()[name]
    return segment_crowd(exact_market(market), TOGETHER_MEMBERS, Fraction(delta))


TOGETHER_MEMBERS = [0, 1]


def aligned_of(name, user):
    return exact_market(known()[name][0]).outcomes_of(user).aligned


def ends(claim):
    return {bound.side: bound for bound in claim.bounds}


def with_proof(name, **changes):
    """The proposal with some fields of its proof replaced."""
    found = proposal(name)
    return found._replace(proof=replace(found.proof, **changes))


@pytest.mark.parametrize("name", known())
def test_both_ends_of_the_search_are_proved(name):
    """Neither end of an answer says more than its proof, and what the search calls closed is proved."""
    market, _ = known()[name]
    for user, claim in enumerate(unchanged(name)):
        found, hers = ends(claim), exact_market(market).outcomes_of(user)
        assert all(bound.is_proved for bound in claim.bounds), claim.reason
        assert hers.silent <= found["lower"].value <= found["upper"].value + allowance(exact_market(market).user_value)
        assert found["upper"].value <= hers.aligned
        closed = found["upper"].reported - found["lower"].reported <= 1e-3 * float(hers.aligned - hers.silent)
        assert (claim.verdict == "PROVED") == closed, claim.reason


def test_the_examples_of_the_documentation_are_closed():
    """Users who split: user 2 gets what silence gives her, a third. Where one policy protects, all get everything."""
    _, split = unchanged("split")
    assert split.verdict == "PROVED"
    assert abs(float(ends(split)["upper"].value) - 1 / 3) < 1e-9
    attained = proposal("split").proof.attained[1]
    assert attained is not None
    assert tuple(attained.served_by) == (0, 1)
    for name, told in (("foes", False), ("protected", True)):
        market, _ = known()[name]
        for user, claim in enumerate(unchanged(name)):
            hers = exact_market(market).outcomes_of(user)
            wanted = hers.aligned if told else hers.silent
            assert claim.verdict == "PROVED"
            assert all(abs(float(bound.value - wanted)) < 1e-5 for bound in claim.bounds)


def covers():
    """Every cover with the bounds that were needed of it."""
    for name in known():
        cover = Cover(crowd_of(name), proposal(name).proof)
        for user in range(2):
            cover.most_lost(user, aligned_of(name, user) - Fraction(float(proposal(name).lower[user])))
        yield name, cover


def test_bounds_agree_with_highs_over_all_profiles_of_actions():
    """In every part that was looked at: no bound is below the programme's value, and most are that value."""
    apart, empty = [], 0
    for name, cover in covers():
        market, crowd = known()[name][0], cover.crowd
        slack = [float(value) for value in crowd.slack]
        losses = [loss for loss in cover._known.values() if loss is not None]
        for loss in losses[:6]:
            most = shared_twin.most_lost(market, loss, slack)
            size = float(max(loss.goal)) * float(max(crowd.way)) or 1.0
            if loss.is_empty:
                assert most is None, name
                empty += 1
            else:
                assert most is None or most <= float(loss.most) + CLOSE * size, name
                apart += [] if most is None else [(float(loss.most) - most) / size]
    assert empty > 5
    assert len(apart) > 30
    assert np.median(apart) < 1e-7


def test_policies_that_win_do_so_when_they_are_played():
    """Signal by signal: whom a policy wins, and what it brings, are what users' best responses make of it."""
    tried = 0
    for _, cover in covers():
        crowd, winnings = cover.crowd, cover.winnings
        for (place, losses), brings in list(winnings._known.items())[:4]:
            if brings is None or not losses:
                continue
            one = winnings.winning[place]
            won = one.won.tolist()
            limit = [share * way for share, way in zip(losses, crowd.way, strict=True)]
            rays = [winnings._nearest[int(n)][0] for n in one.belief]
            policy, total = winning_policy(crowd, rays, one.weight, won, limit), 0
            for j, comes in enumerate(won):
                prefer = crowd.provider[one.provider, j]
                worth, brought = shared_twin.played(crowd, policy, j, prefer)
                has = crowd.aligned[j] - limit[j]
                assert worth > has or not limit[j] if comes else worth <= has or not limit[j]
                assert limit[j] or not comes or worth == crowd.aligned[j]
                least = [min(prefer[x][crowd.told(j)[x]]) for x in range(crowd.num_evidences)]
                total += comes * (brought if limit[j] else sum(least))
            assert 0 <= total - brings <= abs(total) * Fraction(1, 2**80)
            tried += 1
    assert tried > 20


def arrays(crowd, profile):
    """A profile as `policy[provider segment evidence signal]` and `recommended[provider user signal]`."""
    evidences = crowd.num_evidences
    most = max(len(policy.rays) for policy in profile.policies)
    policy = np.zeros((len(profile.offers), 1, evidences, most + evidences))
    told = np.full((len(profile.offers), crowd.num_users, most + evidences), -1)
    first = np.array([crowd.told(j).argmax(axis=1) for j in range(crowd.num_users)])
    for i, offer in enumerate(profile.offers):
        own = profile.policies[offer]
        for s, (n, share) in enumerate(zip(own.rays, own.share, strict=True)):
            policy[i, 0, :, s] = [float(share * value) for value in crowd.rays[n]]
            told[i, :, s] = own.action[s]
        policy[i, 0, :, most:] = np.diag([float(value) for value in own.told])
        told[i, :, most:] = first
    return policy, told


def test_profiles_are_equilibria_by_highs():
    """Best deviations from the profiles of upper ends, those in which users split among them."""
    split = 0
    for name in known():
        crowd = crowd_of(name)
        for user, attained in enumerate(proposal(name).proof.attained):
            if attained is None:
                continue
            found = equilibrium_of(crowd, attained)
            assert found is not None
            policy, told = arrays(crowd, found.profile)
            standing = deviation_oracle.profile_standing(
                known()[name][0], TOGETHER, policy, told, found.profile.served_by
            )
            gains = deviation_oracle.best_gains(known()[name][0], TOGETHER, standing)
            size = np.array([float(max(abs(crowd.provider[i]).ravel())) for i in range(crowd.num_providers)])
            assert (gains <= [float(value) for value in crowd.slack] + CLOSE * size).all(), name
            lost = float(crowd.aligned[user]) - standing.user_value[user]
            np.testing.assert_allclose(lost, float(found.lost[user]), atol=1e-9)
            split += len(set(found.profile.served_by)) > 1
    assert split > 0


def test_leaves_cover_every_profile():
    """Who serves whom, and losses anywhere: some leaf holds it, whatever splits a candidate comes with."""
    generator = np.random.default_rng(0)
    name = max(known(), key=lambda each: len(proposal(each).proof.splits))
    splits = proposal(name).proof.splits
    whole = everything(2, known()[name][0].num_providers)
    found = [line[-1] for line in leaves(whole, simplices(whole, [True, True]), splits)]
    assert len(found) > 10
    for losses, served in product(generator.uniform(size=(20, 2)), product(range(2), repeat=2)):
        assert any(_holds(part, losses, served) for part in found)
    # Without its splits a cover is its roots, and a split that makes no sense splits nothing.
    assert len(list(leaves(whole, simplices(whole, [True, True]), {}))) == 2
    (root, *_) = simplices(whole, [True, True])
    space = next(one for one in splits.values() if hasattr(one, "share"))
    assert parts_of(root, space._replace(share=1.5)) == [root]


def _holds(part, losses, served):
    matrix = np.array([[1.0, *map(float, corner)] for corner in part.corners]).T
    shares = np.linalg.lstsq(matrix, np.array([1.0, *losses]), rcond=None)[0]
    inside = (shares >= -1e-9).all() and np.allclose(matrix @ shares, [1.0, *losses])
    return inside and all(i in who for i, who in zip(served, part.allowed, strict=True))


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 3, 2), (3, 3, 3), (1, 4, 3), (2, 1, 2)], ids=str)
@pytest.mark.parametrize("whole", [False, True])
def test_every_belief_is_a_mixture_of_rays_with_its_best_actions(shape, whole):
    """Users, evidences and actions; with small integers many planes meet in one ray."""
    from scipy.optimize import nnls

    users, evidences, actions = shape
    generator = np.random.default_rng(3)
    for _ in range(4):
        high = 3 if whole else 10**6
        stakes = generator.integers(-high, high + 1, size=(users, evidences, actions))
        rays = np.array(find_rays(stakes.astype(object)), object)
        worth = [rays @ hers.astype(object) for hers in stakes]
        for belief in generator.dirichlet(np.ones(evidences), size=5):
            best = [(belief @ hers).argmax() for hers in stakes]
            marks = [values[:, a] == values.max(axis=1) for values, a in zip(worth, best, strict=True)]
            own = rays[np.all(marks, axis=0)]
            unit = np.array([[float(Fraction(v, sum(ray))) for v in ray] for ray in own])
            assert nnls(unit.T, belief)[1] < 1e-9


def test_a_plane_that_matters_to_one_user_only_makes_a_ray():
    """User 0 never takes the two actions between which she is indifferent at even odds; user 1 does."""
    dominated, chooser = [[5, 1, 0], [5, 0, 1]], [[1, 0, 0], [0, 1, 0]]
    assert (1, 1) in find_rays(np.array([dominated, chooser], object))
    assert (1, 1) not in find_rays(np.array([dominated, dominated], object))


def guess():
    """One user who guesses a state, at even odds; three providers, each of whom likes one guess."""
    user = np.array([[[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]]], object)
    likes = [[[Fraction(a == liked) for a in range(2)]] * 2 for liked in (0, 1, 1)]
    return rays_of(user, np.array(likes, object)[:, None], [Fraction(0)] * 3)


def test_strictly_better_wins_and_nothing_else_does():
    crowd = guess()
    silent = crowd.rays.index((1, 1))
    half = policy_of(crowd, [silent], [Fraction(1, 2)])
    assert (crowd.way, half.lost(crowd, 0)) == ([1], Fraction(1, 2))
    least = Fraction(1, 10**30)
    assert wins(crowd, half, [True], [Fraction(1, 2) + least])
    assert not wins(crowd, half, [True], [Fraction(1, 2)])
    assert wins(crowd, half, [False], [Fraction(1, 2)])
    assert not wins(crowd, half, [False], [Fraction(1, 2) + least])
    # Of a user who has everything: full information is as good, nothing else is, and to leave her nothing is asked.
    assert not wins(crowd, half, [True], [Fraction(0)])
    assert wins(crowd, policy_of(crowd, [], []), [True], [Fraction(0)])
    assert wins(crowd, half, [False], [Fraction(0)])
    assert not wins(crowd, policy_of(crowd, [silent], [Fraction(2)]), [False], [Fraction(1)])


def test_whoever_is_left_takes_what_counts_most_against_the_claim():
    """Two other offers are silent, and recommend different guesses; a user whose own offer is worse is not calm."""
    crowd = guess()
    silent = crowd.rays.index((1, 1))
    guesses = [policy_of(crowd, [silent], [Fraction(1)], [(action,)]) for action in range(2)]
    told = policy_of(crowd, [], [], [])
    profile = Profile([told, *guesses], [0, 1, 2], [0])
    assert [_profile._elsewhere(crowd, profile, i, 0, Fraction(1)) for i in (0, 1)] == [2, 2]
    assert _profile._is_calm(crowd, profile)
    assert not _profile._is_calm(crowd, Profile([told, *guesses], [0, 1, 2], [1]))


# What is changed about a proof, and which end then says less.


def test_a_bound_that_is_not_below_zero_shows_no_part_to_be_empty():
    name = "2 providers, 1"
    nothing = [one._replace(targets=(), price=0.0 * one.price, most=-1.0) for one in proposal(name).proof.refuted]
    for user in range(2):
        silent = aligned_of(name, user) - crowd_of(name).way[user]
        assert weakest(name, user, with_proof(name, refuted=nothing)) == silent


def test_covers_of_something_else_prove_nothing():
    """Splits that are in the wrong places, and losses of a user of whom floats see none."""
    name = "2 providers, 1"
    proof, crowd = proposal(name).proof, crowd_of(name)
    paths = list(proof.splits)
    shifted = dict(zip(paths, [proof.splits[path] for path in paths[1:] + paths[:1]], strict=True))
    for user in range(2):
        assert weakest(name, user, with_proof(name, splits=shifted)) < weakest(name, user, None)
        careless = with_proof(name, cares=np.arange(2) != user)
        silent = aligned_of(name, user) - crowd.way[user]
        assert weakest(name, user, careless) == silent


def test_a_lower_end_above_what_is_proved_is_rejected():
    for name in ("2 providers, 1", "3 providers, 1", "1 providers, 1", "split", "scales"):
        way = np.array([float(value) for value in crowd_of(name).way])
        found, raised = proposal(name), proposal(name).lower + 1e-6 * way
        for before, claim in zip(unchanged(name), claims(name, found._replace(lower=raised)), strict=True):
            if claim.scale > Fraction(1, 1000):
                assert claim.verdict == "OPEN"
                assert "beyond what is proved" in claim.reason
                assert ends(claim)["lower"].value <= ends(before)["upper"].value


def weakest(name, user, changed):
    return ends((claims(name, changed) if changed else unchanged(name))[user])["lower"].value


def deciding(name, user):
    """The places in the list of bounds of those that decide leaves of a user's cover."""
    cover = Cover(crowd_of(name), proposal(name).proof)
    lower = cover.most_lost(user, aligned_of(name, user) - Fraction(float(proposal(name).lower[user])))
    used = {id(leaf.by) for leaf in lower.leaves if leaf.by is not None}
    return [place for place, loss in cover._known.items() if id(loss) in used]


# Markets in which some lower end is above silence.
LOWERED = ["1 providers, 1", "2 providers, 1", "3 providers, 0", "scales", "delta, observed"]


@pytest.mark.parametrize("name", LOWERED)
def test_a_cover_with_a_hole_proves_less(name):
    """Without the bounds of a part and of those that it is in, nothing is known of it but its corners."""
    refuted, fell = proposal(name).proof.refuted, 0
    for user in range(2):
        before = weakest(name, user, None)
        for place in deciding(name, user)[:4]:
            path = refuted[place].path
            left = [one for one in refuted if one.path != path[: len(one.path)]]
            after = weakest(name, user, with_proof(name, refuted=left))
            assert after <= before
            fell += after < before
    assert fell > 0


@pytest.mark.parametrize("name", LOWERED)
def test_negative_and_changed_multipliers_prove_no_more(name):
    """A multiplier below zero counts as zero; whatever else it is, no bound passes an equilibrium that was found."""
    refuted, fell = proposal(name).proof.refuted, 0
    generator = np.random.default_rng(0)
    for user in range(2):
        before, most = weakest(name, user, None), ends(unchanged(name)[user])["upper"].value
        room = Fraction(1, 10**9) * crowd_of(name).way[user]
        for change in (lambda x: -x, lambda x: x * generator.uniform(0.5, 2.0, size=x.shape)):
            for field in ("price", "slope", "envy", "evidence"):
                other = [one._replace(**{field: change(getattr(one, field))}) for one in refuted]
                after = weakest(name, user, with_proof(name, refuted=other))
                assert after <= most + room
                fell += after < before
    assert fell > 2


def test_inequalities_that_do_not_hold_in_a_part_are_not_used():
    """In the space of all profiles a provider may serve users outside of a set; in other parts it may not."""
    tried = 0
    for name, cover in covers():
        (root, *_) = simplices(everything(2, cover.crowd.num_providers), [True, True])
        for place, loss in cover._known.items():
            if loss is None or all(all(each.won) for each in loss.inequalities):
                continue
            refuted = proposal(name).proof.refuted[place]
            assert bound_losses(cover.crowd, loss.part, cover.winnings, refuted) is not None
            elsewhere = replace(root, corners=loss.part.corners)
            assert bound_losses(cover.crowd, elsewhere, cover.winnings, refuted) is None
            tried += 1
    assert tried > 3


def test_policies_that_win_others_than_they_should_are_not_used():
    name = "2 providers, 1"
    turned = [one._replace(won=~one.won) for one in proposal(name).proof.winning]
    fell = [weakest(name, user, with_proof(name, winning=turned)) < weakest(name, user, None) for user in range(2)]
    assert any(fell)
    # A tenth of what is said, and the rest told: too little for those who are not to come.
    crowd, told = crowd_of(name), proposal(name).proof
    nearest = Winnings(crowd, told.belief, [])._nearest
    for one in told.winning:
        policy = read_policy(crowd, [nearest[int(n)][0] for n in one.belief], one.weight / 10)
        assert not wins(crowd, policy, [False, False], crowd.way)


def with_profile(name, user, **changes):
    attained = list(proposal(name).proof.attained)
    attained[user] = attained[user]._replace(**changes)
    return with_proof(name, attained=attained)


def changes_of(one):
    """Half of what is said is told instead, others do what is recommended, users are sent elsewhere, and so on."""
    yield "quieter", {"weight": [weight / 2 for weight in one.weight]}
    yield "other actions", {"action": [np.roll(action, 1, axis=1) for action in one.action]}
    yield "no tangents", {"tangents": []}
    cheaper = lambda evidence: evidence - np.eye(len(evidence))[0]
    yield "cheap evidence", {"tangents": [each._replace(evidence=cheaper(each.evidence)) for each in one.tangents]}
    yield "negative", {"tangents": [each._replace(room=-each.room) for each in one.tangents]}
    yield "served by others", {"served_by": one.served_by[::-1]}


def test_profiles_that_are_no_equilibria_prove_no_upper_end():
    """Whatever is changed, no upper end is below what is proved of all equilibria; each kind of change is rejected."""
    rejected = Counter()
    for name in known():
        crowd = crowd_of(name)
        for user, one in enumerate(proposal(name).proof.attained):
            before, floor = (ends(unchanged(name)[user])[side].value for side in ("upper", "lower"))
            if one is None or aligned_of(name, user) - before <= crowd.way[user] / 1000:
                continue
            for what, change in changes_of(one):
                found = equilibrium_of(crowd, one._replace(**change))
                lost = Fraction(0) if found is None else found.lost[user]
                assert aligned_of(name, user) - lost >= floor - crowd.way[user] / 10**9
                assert found is None or what != "no tangents"
                rejected[what] += found is None
            nothing = with_profile(name, user, tangents=[])
            claim = claims(name, nothing)[user]
            assert (claim.verdict, ends(claim)["upper"].value) == ("OPEN", aligned_of(name, user))
    assert len(rejected) == 6
    assert min(rejected.values()) > 0
    assert sum(rejected.values()) > 30


def test_users_who_envy_others_are_in_no_equilibrium():
    """Where providers may lose anything, it is still an equilibrium's users who choose whom to talk to."""
    patient = replace(crowd_of("split"), slack=[Fraction(10**6)] * 2)
    one = proposal("split").proof.attained[1]
    assert one is not None
    assert equilibrium_of(patient, one) is not None
    assert equilibrium_of(patient, one._replace(served_by=(1, 1))) is None


def test_silence_proves_nothing_where_it_is_no_equilibrium():
    """Where one policy protects, a profile that says nothing is claimed to be an equilibrium, with tangents at hand."""
    name, crowd = "protected", crowd_of("protected")
    silent = proposal("foes").proof.attained[0]
    assert equilibrium_of(crowd_of("foes"), silent) is not None
    assert equilibrium_of(crowd, silent) is None
    found = with_proof(name, attained=[silent, silent])._replace(upper=np.array([float(x) for x in _silent(name)]))
    for user, claim in enumerate(claims(name, found)):
        assert claim.verdict == "OPEN"
        assert ends(claim)["upper"].value == aligned_of(name, user)


def _silent(name):
    exactly = exact_market(known()[name][0])
    return [exactly.outcomes_of(user).silent for user in range(2)]


def test_segments_are_searched_apart_and_have_their_users_names():
    """Three users, two of whom share a policy: what is claimed of them is what would be without the third."""
    market = draw(0, 2, users=3)
    both, alone = _proposals.propose_shared(market, (1, 0, 1), 0.02, BUDGET)[0][::-1]
    assert (both.proof.members, alone.proof.members) == ((0, 2), (1,))
    found = shared_claims(exact_market(market), "segmented", both, Fraction(0.02))
    assert [claim.key for claim in found] == ["worst/segmented/user 0", "worst/segmented/user 2"]
    pick = lambda leaf, axis=0: np.take(np.asarray(leaf), [0, 2], axis)
    pair = plx.Market(pick(market.prior), pick(market.user_value), pick(market.provider_value, 1), pick(market.mass))
    (other,), _ = _proposals.propose_shared(pair, TOGETHER, 0.02, BUDGET)
    for claim, same in zip(found, shared_claims(exact_market(pair), "anonymous", other, Fraction(0.02)), strict=True):
        assert [bound.value for bound in claim.bounds] == [bound.value for bound in same.bounds]
        assert all(bound.is_proved for bound in claim.bounds)


def test_no_search_means_no_claim():
    """Users of several types are not searched for, and neither is anybody without a budget."""
    market = cases.as_market(cases.build("gaussian", 0, cases.Shape(providers=2, users=2, types=2)))
    assert _proposals.propose_shared(market, TOGETHER, 0.0, BUDGET)[0] == []
    assert _proposals.propose_shared(known()["split"][0], TOGETHER, 0.0, 0)[0] == []


def test_a_certificate_has_a_section_for_users_who_share():
    """Claims with their proofs in words and in data, and who was not searched for."""
    market = draw(0, 2, users=3)
    exactly = exact_market(market)
    found, _ = _run._shared_section(market, exactly, "segmented", (1, 0, 1), Fraction(0), BUDGET)
    assert [claim.key for claim in found.claims] == [f"worst/segmented/user {user}" for user in (1, 0, 2)]
    assert not any("no search" in word for word in found.words)
    certificate = Certificate("market", [], [found])
    text, data = str(certificate), json.dumps(certificate.as_data())
    assert "wins users 0, 2" in text or "wins user" in text
    assert all(field in data for field in ("splits", "inequalities", "evidence"))
    none, outlook = _run._shared_section(market, exactly, "segmented", (1, 0, 1), Fraction(0), 0)
    assert outlook.budget == 500
    assert (none.claims, none.words[-1]) == (
        [],
        "There is no search, and no claim, for users 0-2: see the guarantee, and silence.",
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gaussian", "opposed", "spatial"])
def test_both_ends_are_proved_in_random_markets_of_all_families(family):
    """Two and three users, one to three providers: both ends as they are reported, to 1e-9 of the payoffs' range."""
    for users, providers in product((2, 3), (1, 2, 3)):
        sizes = {"dimension": 1} if family == "spatial" else {"actions": 3, "states": 3}
        make = getattr(plx.families, family)(providers=providers, users=users, **sizes)
        with jax.enable_x64(True):
            market = make(jax.random.key(users + 10 * providers))
        for proposed in _proposals.propose_shared(market, (0,) * users, 0.0, 100)[0]:
            for claim in shared_claims(exact_market(market), "anonymous", proposed, Fraction(0)):
                assert all(bound.is_proved for bound in claim.bounds), claim.reason


@pytest.mark.slow
def test_the_exact_check_of_deviations_says_the_same_of_profiles():
    """`certify` of the very profile that the answer holds, by multipliers of profiles of actions, not of rays."""
    checked = 0
    for name in ("delta, observed", "scales", "split"):
        market, delta = known()[name]
        worst = plx.worst_equilibrium(market, TOGETHER, delta, BUDGET)
        for user in np.flatnonzero(np.asarray(worst.has_profile)):
            profile = jax.tree.map(lambda leaf, user=user: np.asarray(leaf)[user], worst.profile)
            section = _run._profile_section(market, exact_market(market), TOGETHER, profile, Fraction(delta))
            assert section.claims[0].verdict == "PROVED", (name, section.claims[0].reason)
            checked += 1
    assert checked > 3
