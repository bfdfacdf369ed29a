"""The reference shows every public name once: found in the package, so that no list can fall behind."""

import importlib.util
import re
import sys
from collections import Counter
from types import ModuleType

import pytest
from shown import ROOT

import pluraljax as plx

pytest.importorskip("mkdocs", reason="the site is built with the extra docs, which is not installed")


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("site_reference", ROOT / "docs" / "site" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected_names():
    """Public names by another way than the site's: what `dir` says, namespaces one level deep."""
    for name in dir(plx):
        item = getattr(plx, name)
        if isinstance(item, ModuleType):
            inner = getattr(item, "__all__", [each for each in dir(item) if not each.startswith("_")])
            yield from (f"{name}.{each}" for each in inner)
        elif name != "__version__":
            yield name


def test_every_public_name_is_on_one_page(reference):
    pages = reference.pages()
    shown = Counter(
        name
        for page, listed in pages.items()
        for name in re.findall(r"^::: pluraljax\.(.+)$", reference.text_of(page, listed), re.M)
    )
    assert set(shown.values()) == {1}
    assert set(shown) == set(expected_names())


def test_every_name_has_a_place(reference):
    """A module that is on no page yet shows up on the last one; that is for those who are about to choose a page."""
    stray = type("Stray", (), {"__module__": "pluraljax._novel._deep"})
    assert reference.page_of("Stray", stray) == "more"
    assert "more" not in reference.pages(), "name the module in PAGES of docs/site/reference.py"


def test_fields_are_shown_with_their_shapes(reference):
    table = reference.fields_of("Market", plx.Market)
    assert "| `prior` | `Float[Array, 'user type evidence state']` |" in table.replace('"', "'")
    assert reference.fields_of("guarantee", plx.guarantee) == ""


def test_the_contents_name_every_page(reference):
    contents = reference.contents()
    assert set(re.findall(r"\]\((\w+)\.md\)", contents)) == set(reference.pages())
    assert "site_reference" not in sys.modules
