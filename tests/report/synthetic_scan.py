"""Tables of scan rows made by hand: the shapes and names of a store, with numbers of our choice."""

import numpy as np
import pyarrow as pa

from pluraljax._scan.measure._columns import COLUMNS, FOUND, SEARCHED

TYPES = {"value": pa.float64(), "event": pa.bool_(), "status": pa.int8()}
PARAMETERS = {
    "providers": pa.int32(),
    "users": pa.int32(),
    "dimension": pa.int32(),
    "bias": pa.string(),
    "shared": pa.float64(),
    "positive": pa.float64(),
    "user_spread": pa.float64(),
    "common_decision": pa.bool_(),
}


def row(market, cell, family, parameters, users=1, **numbers):
    """One market; what is not given is that of one in which everything holds with error 0, and nobody played."""
    defaults = {"status": 0, "aligned": [1.0] * users, "silent": [0.0] * users, "payoff_range": [1.0] * users}
    for column in COLUMNS:
        if column.name in defaults:
            continue
        if column in FOUND or column in SEARCHED:
            # Nobody looked for equilibria by play, or searched.
            blank = -1 if column.kind == "event" else float("nan")
            defaults[column.name] = [blank] * users if column.axis == "user" else blank
        elif column.kind == "event":
            defaults[column.name] = 1
        elif "guarantee" in column.name or "worst" in column.name or "bound" in column.name:
            defaults[column.name] = [1.0] * users
        else:
            defaults[column.name] = [0.0] * users if column.axis == "user" else 0.0
    for name in [f"{scheme}_{what}" for scheme in ("personalized", "anonymous") for what in ("guarantee", "worst")]:
        if name in numbers:
            value = numbers.pop(name)
            numbers |= {f"{name}_lower": value, f"{name}_upper": value}
    if unknown := set(numbers) - set(defaults):
        raise KeyError(f"no such columns: {unknown}")
    identity = {"market": market, "cell": cell, "family": family}
    identity |= {name: parameters.get(name) for name in PARAMETERS}
    return identity | defaults | numbers


def table(rows):
    """A table with the schema of a store, in which open events are null."""
    events = {column.name for column in COLUMNS if column.kind == "event"}
    boolean = {1: True, 0: False, -1: None}
    rows = [{name: boolean[value] if name in events else value for name, value in row.items()} for row in rows]
    fields = [pa.field("market", pa.int64()), pa.field("cell", pa.int32()), pa.field("family", pa.string())]
    fields += [pa.field(name, kind) for name, kind in PARAMETERS.items()]
    for column in COLUMNS:
        kind = TYPES[column.kind]
        fields.append(pa.field(column.name, pa.list_(kind) if column.axis == "user" else kind))
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def realistic(markets=200, providers=range(1, 9), seed=0):
    """Four families whose numbers look like those of a scan: alignment and guarantees that rise with the providers."""
    rng = np.random.default_rng(seed)
    grids = [
        ("spatial", {"users": 3, "dimension": 2, "bias": "absolute", "user_spread": 1.0}, 0.55, 0.05),
        ("spatial", {"users": 3, "dimension": 2, "bias": "relative", "user_spread": 1.0}, 0.6, 0.6),
        ("gaussian", {"users": 2, "shared": 0.0}, 0.05, 0.01),
        ("gaussian", {"users": 2, "shared": 1.0}, 0.02, 0.0),
        ("opposed", {"users": 2, "positive": 0.5, "common_decision": False}, 0.8, 0.3),
        ("conic", {"users": 4}, 0.9, 0.15),
    ]
    rows, cell = [], 0
    for family, fixed, weak, strong in grids:
        for k in providers:
            for _ in range(markets):
                rows.append(_realistic_row(rng, len(rows), cell, family, {"providers": k, **fixed}, weak, strong))
            cell += 1
    return table(rows)


def _realistic_row(rng, market, cell, family, parameters, weak, strong):
    k, users = parameters["providers"], parameters["users"]
    rise = 1 - np.exp(-0.45 * (k - 1))
    is_weak = rng.random() < weak * rise
    is_strong = is_weak and rng.random() < strong / weak * rise
    own = np.ones(users) if is_weak else np.clip(rng.normal(0.85 * rise, 0.25, users), 0, 0.999)
    everyone = np.ones(users) if is_strong else own * rng.beta(0.4 + k / 2, 2.0, users)
    silent = rng.normal(0, 1, users)
    aligned = silent + rng.uniform(0.5, 2, users)
    return row(
        market,
        cell,
        family,
        parameters,
        users,
        aligned=aligned.tolist(),
        silent=silent.tolist(),
        personalized_guarantee=(silent + own * (aligned - silent)).tolist(),
        anonymous_guarantee=(silent + everyone * (aligned - silent)).tolist(),
        personalized_worst=(silent + (0.5 + 0.5 * own) * (aligned - silent)).tolist(),
        anonymous_worst_lower=(silent + everyone * (aligned - silent)).tolist(),
        anonymous_worst_upper=(silent + (0.5 + 0.5 * everyone) * (aligned - silent)).tolist(),
        anonymous_silence=int(rng.random() < 0.1),
        weakly_aligned=int(is_weak),
        strongly_aligned=int(is_strong),
        personalized_guaranteed=int(is_weak),
        anonymous_guaranteed=int(is_strong),
    )
