"""The slow twin of robust questions: every removal by itself, with HiGHS."""

import itertools

import numpy as np
from cases import Primitives
from oracles import alignment_errors, minimise, stakes


def without(market, gone):
    """The market of those that stay; of nobody, a provider who does not care."""
    left = np.delete(market.provider_value, list(gone), axis=0)
    if len(left) == 0:
        left = np.zeros((1, *market.provider_value.shape[1:]))
    return Primitives(market.prior, market.user_value, left, market.mass)


def worst(market, removed, error):
    """The largest error of each user over all removals of so many providers."""
    providers = len(market.provider_value)
    return np.max([error(without(market, gone)) for gone in itertools.combinations(range(providers), removed)], axis=0)


def weak_errors(market, weights="cone", offset="constant"):
    users = len(market.user_value)
    return alignment_errors(market, np.arange(users), weights, offset)


def coverage_errors(market, baseline=None):
    """`min_w sum_s max_a` of what a deviation violates: weights, then one bound per situation."""
    user, provider = stakes(market)
    errors = []
    for j in range(len(user)):
        own = user[j].reshape(-1, user.shape[-1])
        theirs = provider[:, j].reshape(len(provider), *own.shape)
        situations, actions = own.shape
        rows, limits = [], []
        for s in range(situations):
            if baseline is None:
                best = own[s] >= own[s].max() - 1e-12
                base, floor = own[s].max(), theirs[:, s, best].min(axis=1)
            else:
                at = np.asarray(baseline)[j].ravel()[s]
                base, floor = own[s, at], theirs[:, s, at]
            for a in range(actions):
                rows.append(np.r_[-(floor - theirs[:, s, a]), -np.eye(situations)[s]])
                limits.append(-(base - own[s, a]))
        cost = np.r_[np.zeros(len(theirs)), np.ones(situations)]
        errors.append(minimise(cost, A_ub=np.array(rows), b_ub=np.array(limits))[0])
    return np.array(errors)
