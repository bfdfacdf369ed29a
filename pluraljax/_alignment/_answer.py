"""What questions of alignment return."""

from jaxtyping import Array, Float, Int

from .._answer import Answer
from .._bracket import Bracket


class Alignment(Answer):
    """Alignment of each user (or of her segment).

    `value` brackets the least error, `max eps_j / scale_j` over the users of her segment, in utility. Its upper end is
    reached by the `witness`, which is `weights`: `|sum_i weights_i v_ij + offset_j - scale_j u_j| <= user_error_j`. Its
    lower end is proved by `direction`, a signed measure of situations (docs/mathematics.md, section 4): a row for each
    action and state, in one part, or in a part for each state where the offset depends on it. `status` is a `Status`
    code per user; where the market's data are invalid, every number is NaN.
    """

    attained_by = "weights"
    proved_by = "direction"

    value: Bracket
    user_error: Float[Array, " user"]
    weights: Float[Array, "user provider"]
    scale: Float[Array, " user"]
    offset: Float[Array, "user state"]
    direction: Float[Array, "user part row"]
    status: Int[Array, " user"]


class StrongAlignment(Answer):
    """Alignment of all users at once, by one vector of weights; fields as in `Alignment`."""

    attained_by = "weights"
    proved_by = "direction"

    value: Bracket
    user_error: Float[Array, " user"]
    weights: Float[Array, " provider"]
    scale: Float[Array, " user"]
    offset: Float[Array, "user state"]
    direction: Float[Array, "user part row"]
    status: Int[Array, ""]
