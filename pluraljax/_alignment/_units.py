"""Lays out what is to be fitted, in units in which payoffs are of order one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._bounds import Fit, lay_out
from .._float_bits import power_of_two
from .._market import Market, market_status, with_zeros_if_invalid
from .._precision import in_float64
from .._segments import Block, Labels, blocks, gather


class Units(eqx.Module):
    """Powers of two in which each segment's payoffs are of order one, whatever they are in.

    Weights that sum to 1 do so in one unit only: in the hull users and providers share the largest of theirs.
    """

    user: Float[Array, " segment"]
    provider: Float[Array, "segment provider"]

    @property
    def weight(self) -> Float[Array, "segment provider"]:
        """The unit of weights: utility for payoffs of a provider."""
        return self.user[:, None] / self.provider


@in_float64
def units_of(market: Market, block: Block, hull: bool) -> Units:
    user = jnp.abs(gather(market.user_value, block, axis=0)).max(axis=(1, 2, 3))
    provider = jnp.abs(gather(market.provider_value, block, axis=1)).max(axis=(2, 3, 4))
    if hull:
        user = jnp.maximum(user, provider.max(axis=1))
        provider = jnp.broadcast_to(user[:, None], provider.shape)
    return Units(power_of_two(user), power_of_two(provider))


@in_float64
def lay_out_segments(market: Market, labels: Labels, hull: bool, offset: str) -> list[Fit]:
    """Lays out every block of segments, in the units of `units_of`."""
    market = with_zeros_if_invalid(market, market_status(market))
    fits = []
    for block in blocks(labels):
        user, provider = in_units(market, block, hull)
        fits.append(jax.vmap(lay_out, in_axes=(0, 0, None))(user, provider, offset))
    return fits


def in_units(market: Market, block: Block, hull: bool) -> tuple[Array, Array]:
    unit = units_of(market, block, hull)
    user = gather(market.user_value, block, axis=0) / unit.user[:, None, None, None]
    return user, gather(market.provider_value, block, axis=1) / unit.provider[:, :, None, None, None]
