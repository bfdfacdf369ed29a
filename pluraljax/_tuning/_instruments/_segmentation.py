"""The choice of segments: a soft assignment while tuning, a hard one when certified."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families._draws import normals
from ..._market import Market
from ._instrument import Instrument, error_of_weights


@dataclass(frozen=True)
class Segmentation(Instrument):
    """Divides users among `count` segments, each with one policy and so one vector of alignment weights.

    The relaxation is the expected alignment error, `sum_jg P_jg e_j(w_g)`, over assignments P (softmax of logits) and
    weights of each segment, both tuned. Hardening puts each user in her likeliest segment.

    **Arguments:**

    - `count`: how many segments at most; >= 1.
    - `seed`: of the random start, which tells segments apart.
    """

    count: int = 2
    seed: int = 0
    only_per_market = True

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"Segmentation.count must be >= 1, got {self.count}.")

    def start(self, market: Market) -> Any:
        users, providers = market.mass.shape[0], market.provider_value.shape[0]
        logits, weights = normals(jax.random.key(self.seed), (users, self.count), (self.count, providers))
        return {"logits": 0.1 * logits, "weights": 1.0 / providers + 0.1 * jnp.abs(weights)}

    def apply(self, parameters: Any, market: Market) -> Market:
        return market

    def relaxed(self, parameters: Any, market: Market) -> Float[Array, ""]:
        chance = jax.nn.softmax(parameters["logits"], axis=-1)
        users = market.mass.shape[0]
        each = lambda w: error_of_weights(market, jnp.broadcast_to(w, (users, w.shape[0])))
        errors = jax.vmap(each)(parameters["weights"])
        return jnp.einsum("j,jg,gj->", market.mass / market.mass.sum(), chance, errors)

    def segments(self, parameters: Any, market: Market) -> Any:
        logits = parameters["logits"]
        places = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
        top = logits == logits.max(axis=-1, keepdims=True)
        return jnp.min(jnp.asarray(jnp.where(top, places, jnp.int32(self.count - 1))), axis=-1)

    def project(self, parameters: Any, market: Market) -> Any:
        return parameters | {"weights": jnp.maximum(parameters["weights"], 0.0)}
