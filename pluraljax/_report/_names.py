"""What parameters of this package's families are called in figures and headings, in words that need no source."""

from .._printable import printable

_MANY = {
    "providers": "number of providers",
    "users": "number of users",
    "actions": "number of actions",
    "states": "number of states",
    "prior": "law of the state",
}
_PLAIN: dict[str, dict[str, str]] = {
    "gaussian": {
        "alignment": "weight of users' wishes for providers",
        "shared": "providers share a bias",
        "idiosyncratic": "providers' own biases",
    },
    "spatial": {
        "dimension": "dimensions of the space",
        "bias": "providers' bias",
        "actions_per_side": "actions per side",
        "states_per_side": "states per side",
        "action_extent": "extent of actions",
        "state_extent": "extent of states",
        "user_spread": "spread of users",
        "provider_spread": "spread of providers",
    },
    "opposed": {
        "positive": "chance to want what a user wants",
        "log_spread": "spread of the stakes",
        "scales": "stakes",
        "common_decision": "one decision for all users",
    },
    "conic": {
        "perturbation": "distance from a mixture",
        "residual": "kind of distance",
        "weights": "mixtures",
        "weight_sum": "weight of the mixtures",
        "offset": "constants",
    },
    "table": {
        "source": "payoffs from",
        "group": "raters per user",
        "missing": "missing ratings",
        "least_share": "least share of ratings",
    },
}


def plain_name(family: str, parameter: str) -> str:
    """A parameter in plain words; of families of a user's own, and for what is not listed, its name."""
    known = _MANY | _PLAIN[family] if family in _PLAIN else {"providers": _MANY["providers"]}
    return known.get(parameter, printable(parameter).replace("_", " "))
