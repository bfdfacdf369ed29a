"""Segments: how far providers may personalize, as one label per user."""

from numbers import Integral
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int

from ._arguments import checked, integer_labels


def _positive(name: str, value: Any, _: Any = None) -> int:
    """The check of a number of users."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


@checked(num_users=_positive)
def personalized(num_users: int) -> Int[np.ndarray, " user"]:
    """Gives every user her own segment: each provider may offer each user a policy of her own.

    Example::

        plx.personalized(3)  # array([0, 1, 2]): a policy for each user
    """
    return np.arange(num_users, dtype=np.int32)


@checked(num_users=_positive)
def anonymous(num_users: int) -> Int[np.ndarray, " user"]:
    """Puts all users into one segment: each provider commits to a single policy for everybody.

    Example::

        plx.anonymous(3)  # array([0, 0, 0]): one policy for all
    """
    return np.zeros(num_users, dtype=np.int32)


# Labels known before compilation are kept as a tuple, so that each segment becomes a programme of exactly its users.
Labels = tuple[int, ...] | Int[Array, " user"]


def as_labels(segments: Any, num_users: int) -> Labels:
    """Checks segment labels (any integers, equal means same segment); makes them static unless they are traced."""
    if not isinstance(segments, Tracer):
        return integer_labels("segments", segments, num_users)
    if segments.shape != (num_users,) or not np.issubdtype(segments.dtype, np.integer):
        raise ValueError(
            f"segments must hold one integer label per user, shape ({num_users},), "
            f"got {segments.dtype} of shape {segments.shape}."
        )
    return segments


def user_labels(_: str, value: Any, arguments: dict[str, Any]) -> Labels:
    """The check of an argument that says which users share a policy."""
    return as_labels(value, arguments["market"].num_users)


def known_labels(name: str, value: Any, arguments: dict[str, Any]) -> tuple[int, ...]:
    """`user_labels` for a question whose programme depends on them."""
    labels = user_labels(name, value, arguments)
    if not isinstance(labels, tuple):
        raise ValueError(f"{name} must be known before compilation here, got traced ones.")
    return labels


def segment_of(labels: Labels) -> Int[Array | np.ndarray, " user"]:
    """Finds the place of each user's segment among the sorted labels; concrete where the labels are."""
    if isinstance(labels, tuple):
        order = sorted(set(labels))
        return np.array([order.index(label) for label in labels], np.int32)
    below = labels[:, None] > labels[None]
    return jnp.sum(below & first_of_label(labels)[None], axis=1, dtype=jnp.int32)


def first_of_label(labels: Any) -> Bool[Array, " user"]:
    """Marks the first user of each segment."""
    labels = jnp.asarray(labels)
    earlier = np.tri(labels.shape[0], k=-1, dtype=bool)
    return ~((labels[:, None] == labels[None]) & earlier).any(axis=1)


class Block(eqx.Module):
    """Segments of one size: their members, and where each user's own entry is (`values[row, place]`)."""

    members: Int[Array, "segment member"]
    present: Bool[Array, "segment member"]
    users: Int[Array, " user_of_block"]
    row: Int[Array, " user_of_block"]
    place: Int[Array, " user_of_block"]


def blocks(labels: Labels) -> list[Block]:
    """Splits users into blocks of equal-sized segments.

    Static labels give one block per segment size with every member present. Traced labels give a single block, one
    row per user, in which the users that share her label are present: more work, the same answer.
    """
    if not isinstance(labels, tuple):
        each = jnp.arange(labels.shape[0], dtype=jnp.int32)
        everyone = jnp.broadcast_to(each, (labels.shape[0], labels.shape[0]))
        return [Block(everyone, labels[:, None] == labels[None, :], each, each, each)]
    by_label: dict[int, list[int]] = {}
    for user, label in enumerate(labels):
        by_label.setdefault(label, []).append(user)
    by_size: dict[int, list[list[int]]] = {}
    for members in by_label.values():
        by_size.setdefault(len(members), []).append(members)
    return [_static_block(rows) for rows in by_size.values()]


def _static_block(rows: list[list[int]]) -> Block:
    members = np.array(rows, dtype=np.int32)
    row, place = np.indices(members.shape, dtype=np.int32)
    arrays = (members, np.ones(members.shape, bool), members.ravel(), row.ravel(), place.ravel())
    return Block(*(jnp.asarray(array) for array in arrays))


def gather(values: Array, block: Block, axis: int) -> Array:
    """Takes the members' entries of a user axis (axis 0 or 1); segments come first, absent members hold zeros."""
    taken = jnp.moveaxis(jnp.take(values, block.members, axis=axis), axis, 0)
    return jnp.where(block.present.reshape(_mask_shape(taken, block, axis)), taken, 0.0)


def _mask_shape(taken: Array, block: Block, axis: int) -> tuple[int, ...]:
    segments, members = block.present.shape
    return (segments, *(1,) * axis, members, *(1,) * (taken.ndim - axis - 2))
