"""Slow twins of a user in a conversation, in plain NumPy from their definitions, and random conversations to try.

Nothing here is shared with the package. A policy is a tuple with one kernel per round, whose axes are the evidence and
then the query and the signal of every round so far.
"""

import itertools
from typing import NamedTuple

import cases
import numpy as np

# What counts as a tie, as a share of the size of a user's payoffs.
TIE = 1e-11


class Talk(NamedTuple):
    """The shape of a conversation."""

    rounds: int = 2
    queries: int = 2
    signals: int = 2


def primitives(name, seed, shape):
    """The arrays of a market: a case of `cases`, or one of the two kinds below."""
    more = {"keen": keen, "dyadic": dyadic}
    return more[name](seed, shape) if name in more else cases.build(name, seed, shape)


def keen(seed, shape):
    """A market in which what is said matters to all users: evidence tells much, and no action is good without it."""
    generator = np.random.default_rng([seed, *shape])
    market = cases.build("gaussian", seed, shape)
    prior = generator.dirichlet(np.full(market.prior[0].size, 0.4), size=shape.users).reshape(market.prior.shape)
    user = generator.normal(size=market.user_value.shape)
    user = user - 0.9 * np.einsum("jtxy,jay->ja", prior, user)[..., None]
    return market._replace(prior=prior, user_value=user)


def dyadic(seed, shape):
    """Payoffs and a prior in multiples of powers of two: arithmetic with them is exact, and many plays tie."""
    generator = np.random.default_rng([seed, *shape])
    market = cases.build("gaussian", seed, shape)
    cells = market.prior[0].size
    prior = generator.multinomial(16, np.full(cells, 1 / cells), size=shape.users).reshape(market.prior.shape) / 16
    user = generator.integers(0, 2, size=market.user_value.shape).astype(float)
    provider = generator.integers(-2, 3, size=market.provider_value.shape).astype(float)
    return cases.Primitives(prior, user, provider, np.ones(shape.users))


def kernel_shapes(talk, shape, groups):
    lead = (shape.providers, groups, shape.evidence)
    return [(*lead, *(talk.queries, talk.signals) * (turn + 1)) for turn in range(talk.rounds)]


def random_policies(generator, talk, shape, groups, zeros=0.3):
    """Kernels of all providers and segments in which many signals are impossible."""
    kernels = []
    for size in kernel_shapes(talk, shape, groups):
        weights = generator.gamma(0.5, size=size) * (generator.random(size) >= zeros)
        weights[..., 0] += weights.sum(axis=-1) == 0
        kernels.append(weights / weights.sum(axis=-1, keepdims=True))
    return tuple(kernels)


def policies_in_quarters(generator, talk, shape, groups):
    """Kernels of multiples of 1/4: arithmetic with them is exact, so that ties are exact."""
    even = np.full(talk.signals, 1 / talk.signals)
    return tuple(generator.multinomial(4, even, size=size[:-1]) / 4 for size in kernel_shapes(talk, shape, groups))


def stakes(market):
    """`user[user type evidence action]`, `provider[provider user type evidence action]` times masses."""
    prior, user, provider, mass = (
        np.asarray(leaf, float) for leaf in (market.prior, market.user_value, market.provider_value, market.mass)
    )
    own = np.einsum("jtxy,jay->jtxa", prior, user)
    theirs = np.einsum("jtxy,ijay,j->ijtxa", prior, provider, mass)
    return own, theirs


def size_of(own):
    """The size of a user's payoffs."""
    return np.abs(own).max(axis=-1).sum()


def place_of(segments):
    return [sorted(set(segments)).index(label) for label in segments]


def policy_of(policies, provider, segment):
    return tuple(np.asarray(kernel, float)[provider, segment] for kernel in policies)


# Rational users: every strategy is tried.


def query_plans(rounds, queries, signals):
    """All ways to fix a query for every history of answers."""
    histories = [told for turn in range(rounds) for told in itertools.product(range(signals), repeat=turn)]
    for queried in itertools.product(range(queries), repeat=len(histories)):
        yield dict(zip(histories, queried, strict=True))


def answer_chances(policy, plan):
    """The probability of all answers of all rounds, given the evidence, to one who asks by a plan."""
    signals, columns = policy[0].shape[-1], []
    for answers in itertools.product(range(signals), repeat=len(policy)):
        transcript, chance = (), np.ones(len(policy[0]))
        for turn, kernel in enumerate(policy):
            transcript = (*transcript, plan[answers[:turn]], answers[turn])
            chance = chance * kernel[(slice(None), *transcript)]
        columns.append(chance)
    return np.stack(columns, axis=-1)


def outcome_of(policy, plan, does):
    """What a strategy brings about, `[evidence action]`; `does[answers]` is a probability of each action."""
    return answer_chances(policy, plan) @ does


def all_outcomes(policy, actions):
    """What every pure strategy brings about: `[strategy evidence action]`."""
    queries, signals = policy[0].shape[-2:]
    rules = np.array(list(itertools.product(range(actions), repeat=signals ** len(policy))))
    does = np.eye(actions)[rules]
    return np.concatenate([outcome_of(policy, plan, does) for plan in query_plans(len(policy), queries, signals)])


def best_outcomes(own, outcomes, tie):
    """The best value of one type, and all the outcomes with which she gets it."""
    values = np.einsum("xa,nxa->n", own, outcomes)
    return values.max(), outcomes[values >= values.max() - tie]


# Logit users: one node of the tree of transcripts after another.


class Temperatures(NamedTuple):
    action: float
    query: float
    provider: float


def choose_softly(values, temperature):
    values = np.asarray(values)
    if temperature == 0:
        ties = values >= values.max() - 1e-12
        return ties / ties.sum()
    weights = np.exp((values - values.max()) / temperature)
    return weights / weights.sum()


def converse_softly(own, chance, policy, heat, likelihood=None, transcript=()):
    """One type's expected utility at a node of the conversation, given that it is reached, and what follows.

    `own[evidence action]` are her stakes, `chance[evidence]` that of her type and the evidence. The outcome comes times
    the likelihood of the node.
    """
    likelihood = np.ones(len(own)) if likelihood is None else likelihood
    seen = chance @ likelihood
    if seen == 0:
        return 0.0, np.zeros_like(own)
    turn = len(transcript) // 2
    if turn == len(policy):
        values = likelihood @ own / seen
        does = choose_softly(values, heat.action)
        return does @ values, np.outer(likelihood, does)
    queries, signals = policy[0].shape[-2:]
    values, outcomes = np.zeros(queries), np.zeros((queries, *own.shape))
    for query, signal in itertools.product(range(queries), range(signals)):
        further = (*transcript, query, signal)
        after = likelihood * policy[turn][(slice(None), *further)]
        value, outcome = converse_softly(own, chance, policy, heat, after, further)
        values[query] += chance @ after / seen * value
        outcomes[query] += outcome
    asks = choose_softly(values, heat.query)
    return asks @ values, np.tensordot(asks, outcomes, 1)


class Soft(NamedTuple):
    offer_value: np.ndarray
    choice: np.ndarray
    user_value: np.ndarray
    provider_value: np.ndarray


def soft_payoffs(market, segments, policies, heat):
    """What logit users and their providers get."""
    own, theirs = stakes(market)
    chance, place = np.asarray(market.prior, float).sum(axis=-1), place_of(segments)
    providers, users, types = theirs.shape[:3]
    offers, choice, earned = np.zeros((providers, users)), np.zeros((providers, users)), np.zeros(providers)
    for j in range(users):
        outcomes = np.zeros((providers, *own[j].shape))
        for i, t in itertools.product(range(providers), range(types)):
            policy = policy_of(policies, i, place[j])
            value, outcomes[i, t] = converse_softly(own[j, t], chance[j, t], policy, heat)
            offers[i, j] += chance[j, t].sum() * value
        choice[:, j] = choose_softly(offers[:, j], heat.provider)
        outcome = np.tensordot(choice[:, j], outcomes, 1)
        earned += np.einsum("itxa,txa->i", theirs[:, j], outcome)
    return Soft(offers, choice, (choice * offers).sum(axis=0), earned)
