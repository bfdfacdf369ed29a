"""Parameters are checked when a family is made, and say what they want."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pluraljax as plx
from pluraljax._families import FAMILIES, make_family, parameter_names

WRONG = [
    ("spatial", {"providers": 0}, "spatial: providers must be a whole number of at least 1, got 0."),
    ("spatial", {"providers": 2.0}, "providers must be a whole number of at least 1, got 2.0"),
    ("spatial", {"users": True}, "users must be a whole number of at least 1, got True"),
    ("spatial", {"dimension": 0}, "dimension must be a whole number of at least 1, got 0"),
    ("spatial", {"actions_per_side": 2}, "actions_per_side must be .* at least 3, got 2: three points a side .* hull"),
    ("spatial", {"states_per_side": 1}, "states_per_side must be .* at least 3, got 1: three points a side .* hull"),
    ("spatial", {"bias": "relatve"}, 'bias must be one of "absolute", "relative", got \'relatve\''),
    ("spatial", {"user_spread": -1}, "user_spread must be a finite number at least 0, got -1"),
    ("spatial", {"action_extent": 0}, "action_extent must be a finite number above 0, got 0"),
    ("gaussian", {"actions": 1}, "actions must be .* at least 2, got 1: .* nothing to decide"),
    ("gaussian", {"states": "3"}, "states must be a whole number of at least 1, got '3'"),
    ("gaussian", {"alignment": float("nan")}, "alignment must be a finite number, got nan"),
    ("gaussian", {"shared": float("inf")}, "shared must be a finite number at least 0, got inf"),
    ("gaussian", {"prior": ["uniform"]}, 'prior must be one of "uniform", "dirichlet", got'),
    ("opposed", {"positive": 1.1}, "positive must be a finite number at least 0 and at most 1, got 1.1"),
    ("opposed", {"common_decision": 1}, "common_decision must be True or False, got 1"),
    ("opposed", {"scales": [[1, 2], [3]]}, r"scales must be None or a matrix \[provider\]\[user\] .*, got \[\[1, 2\]"),
    ("opposed", {"scales": [[1, "2"]]}, "scales must be None or a matrix"),
    ("opposed", {"scales": 3.0}, "scales must be None or a matrix"),
    ("opposed", {"scales": []}, "scales must be None or a matrix"),
    ("opposed", {"scales": [[1, 2]]}, r"must be 2 x 2 \(providers=2, users=2\), got 1 x 2"),
    ("conic", {"perturbation": -0.1}, "perturbation must be a finite number at least 0, got -0.1"),
    ("conic", {"weight_sum": 0}, "weight_sum must be a finite number above 0, got 0"),
    ("conic", {"weights": None}, 'weights must be one of "per_user", "common", got None'),
    ("conic", {"residual": "extremal", "providers": 8}, r"actions \* states >= providers \+ 2.* got 3 \* 3 with prov"),
    ("gausian", {}, "Unknown family 'gausian'. Did you mean 'gaussian'. Known: conic, gaussian, opposed, spatial."),
    ("zzz", {}, "Unknown family 'zzz'. Known: conic, gaussian, opposed, spatial."),
    ("spatial", {"provders": 3}, "Unknown parameter 'provders' of family 'spatial'. Did you mean 'providers'. Known: "),
]


@pytest.mark.parametrize(("name", "parameters", "message"), WRONG, ids=str)
def test_wrong_parameters_are_named(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        make_family(name, parameters)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_registry_is_the_public_factories(name, tmp_path):
    factory = getattr(plx.families, name)
    assert factory is FAMILIES[name]
    # One family has no law of its own but a file, and takes it without a name.
    np.savez(tmp_path / "ratings.npz", ratings=np.ones((9, 9)))
    file = {"path": str(tmp_path / "ratings.npz")} if name == "table" else {}
    assert make_family(name, file) == factory(*file.values())
    assert make_family(name, {**file, "providers": 5}).providers == 5
    assert parameter_names(name) == tuple(inspect.signature(factory).parameters)
    assert factory(**file).name == name
    documented = inspect.getdoc(factory)
    assert all(f"`{parameter}`" in documented for parameter in parameter_names(name))
    with pytest.raises(TypeError):
        factory(*file.values(), 3)


def test_numbers_become_plain():
    family = plx.families.gaussian(providers=np.int64(4), shared=np.float32(0.5), alignment=2)
    assert [type(value) for value in (family.providers, family.shared, family.alignment)] == [int, float, float]


@given(st.data())
def test_a_lost_letter_is_found_again(data):
    name = data.draw(st.sampled_from(sorted(FAMILIES)))
    right = data.draw(st.sampled_from(parameter_names(name)))
    lost = data.draw(st.integers(0, len(right) - 1))
    with pytest.raises(ValueError, match=f"Did you mean '{right}'"):
        make_family(name, {right[:lost] + right[lost + 1 :]: 1})


def test_checking_parameters_loads_no_jax():
    code = "from pluraljax._families import make_family; make_family('conic', {}); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "pluraljax._families._gaussian" in loaded
    assert not {"jax", "numpy", "equinox"} & set(loaded)
