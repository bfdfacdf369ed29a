"""How things stand before anybody deviates: what users get, from whom, and what else they could have."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .._bounds import Audience, Ends, Instinct, Sense, instinct_of
from .._conversation import Profile, as_kernels, normalised, pick_provider
from .._counted import Counted, leads_of
from .._float_bits import Grid, grid_of, is_exact_sum, power_of_two, product
from .._market import Market
from .._segments import Labels, segment_of
from .._stakes import view, with_two_actions
from .._ties import MEANT, doubt
from ._offers import Offer, consider

# Offers with more comparisons of actions than this are looked at one by one.
_MOST_TOGETHER = 2**21


class Standing(eqx.Module):
    """What a profile gives everybody, and what each user does if a provider's new policy does not win her.

    All payoffs count from those of the first action, in units of their own: u in `sense.user` stands for `u *
    user_unit`, and v in `provider`, weighted by masses, for `v * objective_unit`. `outside[i, j]` is the best that user
    j has without provider i, known up to `tie`, and `elsewhere[i, j]` what i then gets from her; `loyal[i, j]` says
    that she is with i now, and `present[i, j]` what i gets from her now. `now`, `stay`, `away`, `bare` and `full` are
    as in `Audience`; of `certain` users it is sure whom they are with. `provider_size` is what `provider` would be if
    all that it adds up counted as positive.
    """

    sense: Sense
    instinct: Instinct
    provider: Float[Array, "provider user type evidence action"]
    provider_size: Float[Array, "provider user type evidence action"]
    user_unit: Float[Array, " user"]
    objective_unit: Float[Array, " provider"]
    user_baseline: Float[Array, " user"]
    provider_baseline: Float[Array, " provider"]
    probability: Float[Array, "user evidence"]
    outside: Float[Array, "provider user"]
    tie: Float[Array, "provider user"]
    elsewhere: Float[Array, "provider user"]
    loyal: Bool[Array, "provider user"]
    certain: Bool[Array, " user"]
    present: Float[Array, "provider user"]
    now: Ends
    stay: Ends
    bare: Bool[Array, "provider user"]
    full: Bool[Array, "provider user"]
    user_value: Float[Array, " user"]
    choice: Int[Array, " user"]

    @property
    def user(self) -> Float[Array, "user type evidence action"]:
        return self.sense.user

    def audience(self) -> Audience:
        """Every user as a member of her audience: [provider user]."""
        everyone = lambda tree: jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (*self.tie.shape, *leaf.shape[1:])), tree
        )
        return self._audience(everyone, lambda leaf: leaf)

    def audience_of(self, provider: Int[Array, ""]) -> Audience:
        """Every user as a member of the audience of one provider: [user]."""
        return self._audience(lambda tree: tree, lambda leaf: leaf[provider])

    def _audience(self, of_user: Callable, of_pair: Callable) -> Audience:
        return Audience(
            sense=of_user(self.sense),
            instinct=of_user(self.instinct),
            provider=of_pair(self.provider),
            outside=of_pair(self.outside),
            tie=of_pair(self.tie),
            now=jax.tree.map(of_pair, self.now),
            stay=jax.tree.map(of_pair, self.stay),
            loyal=of_pair(self.loyal) & of_user(self.certain),
            away=~of_pair(self.loyal) & of_user(self.certain),
            bare=of_pair(self.bare),
            full=of_pair(self.full),
        )


def _lay_out(market: Market) -> dict:
    """Lays out what does not depend on what users do."""
    seen = view(with_two_actions(market))
    found = seen.counted
    sense, share = _senses(found)
    weigh = lambda value: value * found.market.mass[None, :, None, None, None]
    return {
        "sense": sense,
        "instinct": jax.vmap(instinct_of)(sense),
        "provider": weigh(seen.provider.value),
        "provider_size": weigh(seen.provider.size),
        "user_unit": found.user_unit * share,
        "objective_unit": found.objective_unit,
        "user_baseline": found.user_baseline,
        "provider_baseline": found.provider_baseline @ market.mass,
        "probability": seen.evidence_probability,
    }


def _senses(found: Counted) -> tuple[Sense, Float[Array, " user"]]:
    """Every user's stakes, and the unit of probability that they count in.

    Where all her probabilities are powers of two of the largest one, that is it: thirds add up exactly in thirds.
    """
    prior, value = found.market.prior, found.market.user_value
    largest = prior.max(axis=(1, 2, 3), keepdims=True)
    largest = jnp.where(largest > 0, largest, 1.0)
    share = prior / largest
    even = ((share == power_of_two(share)) | (share == 0)) & (share * largest == prior)
    even = even.all(axis=(1, 2, 3), keepdims=True)
    prior = jnp.where(even, share, prior)
    user = jnp.einsum("jtxy,jay->jtxa", prior, value)
    size = jnp.einsum("jtxy,jay->jtxa", prior, jnp.abs(value))
    spread = lambda grid, axes: Grid(*(jnp.expand_dims(leaf, axes) for leaf in (grid.last, grid.top)))
    last = product(spread(grid_of(prior), -2), spread(grid_of(value), (1, 2))).last.min(axis=-1)
    exact = is_exact_sum(last, size) & found.user_is_exact[:, None, None, None]
    last = jnp.where(exact, last, np.int32(-(1 << 20)))
    sense = Sense(user, leads_of(found.user_own, prior), last, prior.shape[-1])
    return lax.stop_gradient(sense), jnp.where(even, largest, 1.0)[:, 0, 0, 0]


def _uninformed(primitives: dict) -> tuple[Float[Array, " user"], Float[Array, "provider user"], Ends]:
    """What silence is worth to each user, and what every provider gets from her then: one number, and its ends."""
    sense, instinct, provider = primitives["sense"], primitives["instinct"], primitives["provider"]
    total = sense.user.sum(axis=-2)
    brought = provider.sum(axis=-2)
    may, first = instinct.uninformed[None], jnp.cumsum(instinct.uninformed, axis=-1, dtype=jnp.int32) == 1
    over = lambda mask, filler: jnp.where(mask, brought, filler)
    ends = Ends(over(may, jnp.inf).min(axis=-1).sum(axis=-1), over(may, -jnp.inf).max(axis=-1).sum(axis=-1))
    return total.max(axis=-1).sum(axis=-1), over(may & first[None], 0.0).sum(axis=(-2, -1)), ends


def _size(sense: Sense) -> Float[Array, " user"]:
    return sense.size.max(axis=-1).sum(axis=(-2, -1))


def _rounding(sense: Sense) -> Float[Array, " user"]:
    return doubt(_size(sense), sense.user.shape[-2] * sense.states)


def _nothing(like: Array) -> Ends:
    return Ends(jnp.zeros_like(like), jnp.zeros_like(like))


def silent_standing(market: Market) -> Standing:
    """All providers are silent, and users at a tie keep doing what they do uninformed.

    A single provider is the only one to talk to, so that users at a tie do as it says.
    """
    primitives = _lay_out(market)
    value, earned, ends = _uninformed(primitives)
    providers = earned.shape[0]
    sense, instinct = primitives["sense"], primitives["instinct"]
    everywhere = lambda leaf: jnp.broadcast_to(leaf, earned.shape)
    # Nothing is left to be told where an uninformed action is optimal whatever the evidence.
    full = (instinct.optimal.all(axis=-2) & instinct.uninformed).any(axis=-1).all(axis=-1)
    return Standing(
        **primitives,
        outside=everywhere(value),
        tie=everywhere(_rounding(sense)),
        elsewhere=earned,
        loyal=jnp.full(earned.shape, providers == 1),
        certain=jnp.ones(value.shape, bool),
        present=earned,
        now=ends,
        stay=_nothing(earned),
        bare=jnp.ones(earned.shape, bool),
        full=everywhere(full),
        user_value=value,
        choice=jnp.zeros(value.shape, jnp.int32),
    )


def _consider_all(primitives: dict, kernels: list[Array], of_user: Array, profile: Profile) -> Offer:
    """What each user makes of each provider's policy, that of her segment: [provider user]."""
    sense, instinct, provider = primitives["sense"], primitives["instinct"], primitives["provider"]
    providers, users, types, _, actions = provider.shape
    theirs = jnp.moveaxis(provider, 0, 1)

    def one(place: tuple[Array, Array]) -> Offer:
        i, j = place
        own = lambda tree: jax.tree.map(lambda leaf: leaf[j], tree)
        told, asked = jax.tree.map(lambda leaf: leaf[i, j], (profile.recommended, profile.asked))
        offered = [jnp.take(kernel[i], of_user[j], axis=0) for kernel in kernels]
        return consider(own(sense), own(instinct), theirs[j], i, offered, told, asked)

    place = np.indices((providers, users), dtype=np.int32).reshape(2, -1)
    transcripts = math.prod(kernels[-1].shape[-3:])
    together = providers * users * types * transcripts * actions * max(actions, providers)
    over = jax.vmap(one) if together <= _MOST_TOGETHER else (lambda places: lax.map(one, places))
    found = over((jnp.asarray(place[0]), jnp.asarray(place[1])))
    return jax.tree.map(lambda leaf: leaf.reshape(providers, users, *leaf.shape[1:]), found)


def profile_standing(market: Market, labels: Labels, profile: Profile) -> Standing:
    """Users respond to a profile: each talks to a best provider, and her best other offer is her outside option."""
    primitives = _lay_out(market)
    kernels = as_kernels(jax.tree.map(normalised, profile.policy))
    place = jnp.asarray(segment_of(labels))
    offers = _consider_all(primitives, kernels, place, profile)
    providers = offers.value.shape[0]
    near = MEANT * _size(primitives["sense"])
    everyone = jnp.arange(providers, dtype=jnp.int32)[:, None]
    same = _same_offers(kernels, place, offers)
    choice = pick_provider(offers.value, near, profile.choice)
    loyal = everyone == choice[None]
    fair = offers.value >= (offers.value.max(axis=0) - near)[None]
    wanted = jnp.zeros(choice.shape, bool)
    if profile.choice is not None:
        wanted = choice == profile.choice.astype(jnp.int32)
    certain = wanted | _all_the_same(same, fair)
    # Axes of what is earned: [provider she is with, provider who gets it, user].
    meant = jnp.moveaxis(offers.earned, -1, 1)
    low, high = jnp.moveaxis(offers.low, -1, 1), jnp.moveaxis(offers.high, -1, 1)
    with_whom = jnp.where(certain[None], loyal, fair)
    now = _range(with_whom[:, None], low, high)
    common = {
        **primitives,
        "loyal": loyal,
        "certain": certain,
        "present": jnp.where(loyal[:, None], meant, 0.0).sum(axis=0),
        "now": now,
        "user_value": offers.value.max(axis=0),
        "choice": choice,
    }
    if providers == 1:
        value, earned, ends = _uninformed(primitives)
        stay = Ends(ends.low - now.high, ends.high - now.low)
        sure = jnp.ones(loyal.shape, bool)
        tie = _rounding(primitives["sense"])[None]
        return Standing(
            **common, outside=value[None], tie=tie, elsewhere=earned, stay=stay, bare=sure, full=jnp.zeros_like(sure)
        )
    others = ~np.eye(providers, dtype=bool)[:, :, None]
    outside = jnp.where(others, offers.value[None], -jnp.inf).max(axis=1)
    # A user who is with another provider stays there; one who is left goes to the first of the best others.
    next_best = others & (offers.value[None] >= (outside - near[None])[:, None])
    first = jnp.where(next_best, everyone[None], np.int32(providers - 1)).min(axis=1)
    after = jnp.where(loyal, first, choice[None])
    elsewhere = jnp.where(everyone[None] == after[:, None], jnp.swapaxes(meant, 0, 1), 0.0).sum(axis=1)
    settled = jax.vmap(lambda fair: _all_the_same(same, fair))(next_best)
    goes = jnp.where(settled[:, None], everyone[None] == first[:, None], next_best)
    left = _range(jnp.swapaxes(goes, 0, 1), low, high)
    change = Ends(left.low - now.high, left.high - now.low)
    none = jnp.zeros_like(outside)
    on = lambda mask, end: jnp.asarray(jnp.where(mask, end, none))
    either = lambda end, join: jnp.where(certain[None], on(loyal, end), join(on(fair, end), none))
    within = lambda end, join: jnp.asarray(either(end, join))
    any_other = lambda mask: (others & mask[None]).any(axis=1)
    return Standing(
        **common,
        outside=outside,
        tie=jnp.where(others, offers.tie[None], 0.0).max(axis=1),
        elsewhere=elsewhere,
        stay=Ends(within(change.low, jnp.minimum), within(change.high, jnp.maximum)),
        bare=~any_other(~offers.bare),
        full=any_other(offers.full),
    )


def _same_offers(kernels: list[Array], of_user: Array, offers: Offer) -> Bool[Array, "provider other user"]:
    """Marks offers that surely are worth the same: equal policies, silent ones, and such as tell all."""
    providers, segments = kernels[0].shape[:2]
    alike = jnp.ones((providers, providers, segments), bool)
    for kernel in kernels:
        alike = alike & (kernel[:, None] == kernel[None]).all(axis=tuple(range(3, kernel.ndim + 1)))
    alike = jnp.take(alike, of_user, axis=2, fill_value=False)
    both = lambda mask: mask[:, None] & mask[None]
    return alike | both(offers.bare) | both(offers.full)


def _all_the_same(same: Bool[Array, "provider other user"], fair: Bool[Array, "provider user"]) -> Bool[Array, " user"]:
    """Whether the providers that may be best surely are worth the same to each user, if they are several."""
    either = fair[:, None] & fair[None]
    return (same | ~either).all(axis=(0, 1))


def _range(mask: Bool[Array, "_with _to user"], low: Array, high: Array) -> Ends:
    """The ends of what providers get from users who may be with any of those marked."""
    return Ends(jnp.where(mask, low, jnp.inf).min(axis=0), jnp.where(mask, high, -jnp.inf).max(axis=0))
