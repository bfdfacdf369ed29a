"""How large a family's markets are: as its fields say, or as tracing it shows. Imports no JAX by itself."""

from typing import Any, NamedTuple

from ._family import MOST_PAYOFFS, SIZES, Family, said_sizes


class Sizes(NamedTuple):
    """Providers and users of a market, outcomes of each user (actions times states), and how many numbers it holds."""

    providers: int
    users: int
    outcomes: int
    numbers: int


def sizes_of(family: Any, name: str) -> Sizes:
    """The sizes of a family's markets.

    Where a family has no fields `providers`, `users`, `actions` and `states`, JAX is loaded and traces it. Raises
    `ValueError` where it draws no market, or one that is too large.
    """
    if isinstance(family, Family):
        one: Any = family
        return Sizes(one.providers, one.users, one.num_payoffs // ((one.providers + 1) * one.users), one.num_payoffs)
    said = said_sizes(family)
    if len(said) == len(SIZES):
        providers, users, actions, states = (said[each] for each in SIZES)
        numbers = (providers + 1) * users * actions * states
    else:
        from ._drawn import drawn_shapes

        prior, _, provider_value, _ = drawn_shapes(family, name)
        (providers, users, actions, states), (_, types, evidences, _) = provider_value[0], prior[0]
        numbers = (providers + 1) * users * actions * states + users * types * evidences * states
    if numbers > MOST_PAYOFFS:
        raise ValueError(f"{name}: a market would hold {numbers:.3g} numbers; at most {MOST_PAYOFFS:,} are allowed.")
    return Sizes(providers, users, actions * states, numbers)
