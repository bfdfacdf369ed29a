"""How users respond to policies, exactly: one round of query, signal and action, and what each provider gets by it.

Only what is equal is a tie. Payoffs count from those of the first action.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ._market import ExactMarket
from ._rational import ONE, ZERO, Rationals, dot, multipliers, total, zeros

# How near to its best a user's play comes where a policy of floats means it to be best, as a share of the size of her
# payoffs: as in `pluraljax._ties`. Says how such policies are repaired (`_replies`), and decides nothing.
_MEANT = Fraction(1, 2**36)


@dataclass(frozen=True)
class Stakes:
    """Stakes that count from the first action: `user[user type evidence action]`, providers' weighted by masses.

    `near[user]` is by how much what she is meant to do may miss what is best.
    """

    user: Rationals
    provider: Rationals
    near: list[Fraction]

    @property
    def num_users(self) -> int:
        return len(self.user)

    @property
    def num_providers(self) -> int:
        return len(self.provider)


def stakes_of(market: ExactMarket) -> Stakes:
    """Lays out a market. An only action is written twice, as candidates do."""
    twice = lambda leaf: np.repeat(leaf, 2, axis=-1) if leaf.shape[-1] == 1 else leaf
    user = twice(market.user - market.user[..., :1])
    weight = market.mass[None, :, None, None, None]
    provider = twice((market.provider - market.provider[..., :1]) * weight)
    return Stakes(user, provider, [_MEANT * total(abs(hers).max(axis=-1)) for hers in user])


def probabilities(policy: Any) -> Rationals:
    """Reads policies `[... signal]` exactly, and divides each row by its sum."""
    values = multipliers(policy)
    flat = values.reshape(-1, values.shape[-1])
    for row in flat:
        whole = total(row)
        row[:] = row / whole if whole else np.full(len(row), Fraction(1, len(row)), object)
    return values


@dataclass(frozen=True)
class Response:
    """What a policy is worth to a user, and what she then does: `outcome[type evidence action]`.

    Type t asks `asked[t]`, and after signal s does `actions[t][s]`.
    """

    value: Fraction
    outcome: Rationals
    asked: list[int]
    actions: list[list[int]]


def respond(
    user: Rationals,
    policy: Rationals,
    prefer: Rationals,
    recommended: Any = None,
    asked: Any = None,
    near: Fraction = ZERO,
) -> Response:
    """Plays a user's best queries and actions against `policy[evidence query signal]`.

    Among the best, or those that miss it by `near` at most, she does as she is told, or else what is worth most on the
    stakes `prefer`.
    """
    outcome, value = zeros(*user.shape), ZERO
    asked_by_type, actions_by_type = [], []
    types, queries, signals = len(user), *policy.shape[1:]
    for t in range(types):
        asks = []
        for q in range(queries):
            told = [None if recommended is None else int(recommended[t, q, s]) for s in range(signals)]
            asks.append(_answer(user[t], policy[:, q], prefer[t], near, told))
        best = max(worth for worth, _, _ in asks)
        fair = [q for q, (worth, _, _) in enumerate(asks) if worth >= best - near]
        ask = _pick(fair, [liked for _, liked, _ in asks], None if asked is None else int(asked[t]))
        value += best
        for s, action in enumerate(asks[ask][2]):
            outcome[t, :, action] += policy[:, ask, s]
        asked_by_type.append(ask)
        actions_by_type.append(asks[ask][2])
    return Response(value, outcome, asked_by_type, actions_by_type)


def _answer(
    user: Rationals, signals: Rationals, prefer: Rationals, near: Fraction, told: list[int | None]
) -> tuple[Fraction, Fraction, list[int]]:
    """Her best action after each signal of one query; what that is worth to her, and on the stakes `prefer`."""
    worth, liked, actions = ZERO, ZERO, []
    for s, wanted in enumerate(told):
        values = [dot(signals[:, s], user[:, a]) for a in range(user.shape[-1])]
        likes = [dot(signals[:, s], prefer[:, a]) for a in range(user.shape[-1])]
        best = max(values)
        action = _pick([a for a, value in enumerate(values) if value >= best - near], likes, wanted)
        actions.append(action)
        worth, liked = worth + best, liked + likes[action]
    return worth, liked, actions


def _pick(ties: list[int], liked: list[Fraction], wanted: int | None) -> int:
    if wanted in ties:
        return ties[ties.index(wanted)]
    most = max(liked[place] for place in ties)
    return next(place for place in ties if liked[place] == most)


@dataclass(frozen=True)
class Standing:
    """How things stand before a deviation; fields are lists `[provider][user]`.

    `outside` is the best that a user has without a provider, `elsewhere` what it then gets from her, `present` what it
    gets from her now, `loyal` whether she is with it now.
    """

    outside: list[list[Fraction]]
    elsewhere: list[list[Fraction]]
    present: list[list[Fraction]]
    loyal: list[list[bool]]
    user_value: list[Fraction]
    choice: list[int]


def _silences(stakes: Stakes) -> list[Response]:
    """What users get and do uninformed; the first action among ties."""
    nothing = np.full((stakes.user.shape[2], 1, 1), ONE, object)
    return [respond(user, nothing, zeros(*user.shape)) for user in stakes.user]


def tied_in_silence(stakes: Stakes) -> list[int]:
    """The users who have several best actions when they know nothing."""
    sums = [user.sum(axis=1) for user in stakes.user]
    best = [[row.count(max(row)) for row in values.tolist()] for values in sums]
    return [j for j, counts in enumerate(best) if max(counts) > 1]


def _earned(stakes: Stakes, responses: list[Response]) -> list[list[Fraction]]:
    """What every provider gets from every user: [provider][user]."""
    return [[dot(v, r.outcome) for v, r in zip(values, responses, strict=True)] for values in stakes.provider]


def silent_standing(stakes: Stakes) -> Standing:
    """All providers are silent. A single one is the only one to talk to, so that users at a tie do as it says."""
    responses, alone = _silences(stakes), stakes.num_providers == 1
    earned = _earned(stakes, responses)
    value = [response.value for response in responses]
    everywhere = [list(value) for _ in earned]
    loyal = [[alone] * stakes.num_users for _ in earned]
    return Standing(everywhere, earned, earned, loyal, value, [0] * stakes.num_users)


@dataclass(frozen=True)
class Played:
    """A profile as it is played: `policy[provider segment evidence query signal]`, and each user's segment.

    `told[i][j]` and `asked[i][j]` say what user j does with provider i where that is best; None where nothing is said.
    """

    policy: Rationals
    segment_of: list[int]
    told: list[list[Any]]
    asked: list[list[Any]]
    choice: Any

    def response(self, stakes: Stakes, i: int, j: int, near: Fraction = ZERO) -> Response:
        """What user j does with provider i."""
        policy = self.policy[i, self.segment_of[j]]
        return respond(stakes.user[j], policy, stakes.provider[i, j], self.told[i][j], self.asked[i][j], near)


def played(stakes: Stakes, segment_of: list[int], profile: Any) -> Played:
    """Reads a `Profile` exactly."""

    def each(name: str) -> list[list[Any]]:
        leaf = getattr(profile, name)
        return [
            [None if leaf is None else np.asarray(leaf)[i, j] for j in range(stakes.num_users)]
            for i in range(stakes.num_providers)
        ]

    return Played(probabilities(profile.policy), segment_of, each("recommended"), each("asked"), profile.choice)


def profile_standing(stakes: Stakes, profile: Played) -> Standing:
    """Each user talks to a best provider; who is left by it goes to the first of the best others."""
    providers, users = range(stakes.num_providers), range(stakes.num_users)
    offers = [[profile.response(stakes, i, j) for j in users] for i in providers]
    best = [max(offers[i][j].value for i in providers) for j in users]
    fair = [[i for i in providers if offers[i][j].value == best[j]] for j in users]
    choice = [fair[j][0] for j in users]
    if profile.choice is not None:
        choice = [int(c) if int(c) in fair[j] else choice[j] for j, c in enumerate(np.asarray(profile.choice))]
    loyal = [[choice[j] == i for j in users] for i in providers]
    earned = [_earned(stakes, row) for row in offers]  # [provider she is with][provider][user]
    present = [[earned[choice[j]][i][j] for j in users] for i in providers]
    if stakes.num_providers == 1:
        silences = _silences(stakes)
        return Standing(
            [[response.value for response in silences]], _earned(stakes, silences), present, loyal, best, choice
        )
    outside, elsewhere = [], []
    for i in providers:
        others = [p for p in providers if p != i]
        outside.append([max(offers[p][j].value for p in others) for j in users])
        after = [
            next(p for p in others if offers[p][j].value == outside[i][j]) if loyal[i][j] else choice[j] for j in users
        ]
        elsewhere.append([earned[after[j]][i][j] for j in users])
    return Standing(outside, elsewhere, present, loyal, best, choice)
