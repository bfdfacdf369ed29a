"""The HTML page of a report, read by a parser: what it says, that nothing in it is markup by accident, and its size."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from synthetic_scan import realistic, row, table

from pluraljax._report import _page
from pluraljax._report._page import page
from pluraljax._report._summary import clopper_pearson, summarize
from pluraljax._scan.measure._columns import COLUMNS, Column

VOID = {"meta", "link", "input", "br"}
MANIFEST = {
    "identity": "0123abcd",
    "created": "2026-01-02T03:04:05+00:00",
    "definition": {"pluraljax": "0.1.0"},
    "versions": [{"pluraljax": "0.1.0", "jax": "0.9.2", "jaxlib": "0.9.2", "numpy": "2.4"}],
    "config": {
        "markets": 9600,
        "seed": 7,
        "delta": 0.0,
        "chunk": 512,
        "memory": 256,
        "equilibria": True,
        "grid": [{"family": "gaussian", "providers": [1, 2]}],
    },
}


class Tree(HTMLParser):
    """Every element with its attributes and its text, and a complaint about each tag that does not close."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.complaints = [], [], []
        self.feed(text)
        self.close()
        self.complaints += [f"{element['tag']} never closed" for element in self.open]

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", **{f"@{name}": value for name, value in attrs}}
        if len(dict(attrs)) != len(attrs):
            self.complaints.append(f"{tag} has an attribute twice")
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1]["tag"] != tag:
            self.complaints.append(f"</{tag}> closes nothing")
        else:
            self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        wanted = {f"@{name}": value for name, value in attributes.items()}
        return [e for e in self.elements if e["tag"] == tag and wanted.items() <= e.items()]

    def data(self):
        (element,) = self.all("script", id="data")
        return json.loads(element["text"])


@pytest.fixture(scope="module")
def summaries():
    return summarize(realistic(markets=40))


@pytest.fixture(scope="module")
def text(summaries):
    return page(summaries, MANIFEST, about="seed 7, equilibria within delta = 0")


@pytest.fixture(scope="module")
def tree(text):
    return Tree(text)


def test_the_page_is_well_formed_and_its_parts_are_there(tree):
    assert tree.complaints == []
    ids = [element["@id"] for element in tree.elements if "@id" in element]
    assert len(ids) == len(set(ids))
    assert {"summary", "diagrams", "cells", "checks", "manifest", "reproduce"} <= set(ids)
    for link in tree.all("a"):
        assert link["@href"].removeprefix("#") in ids
    for label in tree.all("label"):
        assert label.get("@for", "troubled") in ids
    (html,) = tree.all("html")
    assert html["@lang"] == "en"
    assert tree.all("h1")[0]["text"] == "1,920 markets in 48 cells: spatial, gaussian, opposed, conic"
    assert tree.all("meta", name="viewport")


def test_a_planted_mistake_is_found(text):
    assert Tree(text.replace("</section>", "", 1)).complaints
    assert Tree(text.replace("</tr>", "</td>", 1)).complaints


def test_nothing_is_fetched_and_only_this_script_may_run(text, tree):
    # The namespace of SVG is a name, which nobody fetches.
    script = [e["text"] for e in tree.all("script") if "@id" not in e]
    assert len(script) == 1
    assert re.findall(r"https?://[^\s\"'<]+", text.replace('"http://www.w3.org/2000/svg"', "")) == []
    for element in tree.elements:
        assert "@src" not in element
        assert element.get("@href", "#").startswith(("#", "data:,"))
        # No handler in an attribute, and no style that the policy would have to allow.
        assert not [name for name in element if name.startswith("@on") or name == "@style"]
    (policy,) = [e["@content"] for e in tree.all("meta") if e.get("@http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for kind, content in (("script", script[0]), ("style", tree.all("style")[0]["text"])):
        assert f"{kind}-src '{_page._hash(content)}'" in policy
    for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "innerHTML", "eval("):
        assert word not in script[0]
    assert "@import" not in tree.all("style")[0]["text"]
    assert "url(" not in tree.all("style")[0]["text"]


def test_diagrams_hold_the_numbers_of_the_summaries(summaries, tree):
    data = tree.data()
    labels = [measure["label"] for measure in data["measures"]]
    assert len(set(labels)) == len(labels)
    weak = labels.index("weakly aligned")
    for cell, shown in zip(summaries, data["cells"], strict=True):
        share = cell.events["weakly_aligned"]
        low, high = map(float, clopper_pearson(share.yes, share.trials))
        assert shown["numbers"][weak] == pytest.approx([*share.estimate, low, high, share.trials, share.open], rel=1e-4)
        worst = shown["numbers"][labels.index("worst equilibrium, anonymous")]
        bracket = cell.equilibria["anonymous"]
        assert worst[:2] == pytest.approx([bracket.lower.mean, bracket.upper.mean], rel=1e-4)
        assert worst[2] <= worst[0] <= worst[1] <= worst[3]
        assert worst[2] == pytest.approx(max(0, bracket.lower.mean - 1.959964 * bracket.lower.standard_error), rel=1e-4)
    # Nobody played in these markets.
    assert not [label for label in labels if "found" in label]
    # Every cell has one place, under its number of providers.
    places = [cell for family in data["families"] for line in family["rows"] for cell in line["cells"]]
    assert sorted(places) == list(range(48))
    for family in data["families"]:
        for line in family["rows"]:
            for value, cell in zip(family["values"], line["cells"], strict=True):
                assert f"providers {value}" in data["cells"][cell]["name"]


def test_the_table_has_every_cell_and_sorts_by_what_it_shows(summaries, tree):
    rows = [e for e in tree.all("tr") if "@data-family" in e]
    assert [e["@data-family"] for e in rows] == [cell.family for cell in summaries]
    heads = [e["text"] for e in tree.all("th", scope="col")]
    assert {"cell", "family", "providers", "shared", "weakly aligned", "violations"} <= set(heads)
    keyed = [e for e in tree.elements if "@data-key" in e]
    assert len(keyed) % 48 == 0
    for element in keyed:
        key, shown = element["@data-key"], element["text"]
        assert (key == "") == (shown in ("", "-"))
        if re.match(r"[\d≥+-]", shown) and key:
            assert float(key) == pytest.approx(
                float(re.search(r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?", shown)[0]), abs=1e-9
            )
    assert "providers=3" in rows[2]["@data-words"].split()


def test_open_invalid_and_broken_markets_stand_out():
    rows = [row(i, 0, "opposed", {"providers": 2}) for i in range(20)]
    rows[0] |= {"status": 10}
    rows[1] |= {"personalized_theorem": 0}
    rows[2] |= {"weakly_aligned": -1}
    tree = Tree(page(summarize(table(rows)), MANIFEST))
    tiles = dict(zip([e["text"] for e in tree.all("dt")], [e["text"] for e in tree.all("dd")], strict=True))
    assert tiles["violations of a theorem"] == tiles["rows that held no market"] == "1"
    assert tree.all("dd", **{"class": "wrong"})
    assert [e for e in tree.all("li") if "violated in 1 of 19 markets" in e["text"]]
    assert [e for e in tree.all("tr") if e.get("@data-trouble") == "1"]
    weak = next(i for i, m in enumerate(tree.data()["measures"]) if m["label"] == "weakly aligned")
    assert tree.data()["cells"][0]["numbers"][weak][4:] == [19, 1]


def test_names_from_a_config_are_text_wherever_they_appear():
    hostile = "</script><img src=x onerror=alert(1)>{{data}}&amp;\u2028\"'"
    rows = [row(i, cell, hostile, {"providers": 2, "bias": f"{hostile}{cell}"}) for cell in (0, 1) for i in range(3)]
    manifest = MANIFEST | {"identity": hostile, "config": MANIFEST["config"] | {"grid": [{"family": hostile}]}}
    text = page(summarize(table(rows)), manifest, about=hostile)
    tree = Tree(text)
    assert tree.complaints == []
    assert not tree.all("img")
    assert len(tree.all("script")) == 2
    hostile = hostile.replace("\u2028", "\\u2028")
    assert hostile in tree.all("h1")[0]["text"]
    assert [e["@data-family"] for e in tree.all("tr") if "@data-family" in e] == [hostile, hostile]
    data = tree.data()
    assert data["families"][0]["name"] == hostile
    assert hostile in data["cells"][0]["name"]
    # A config whose family nobody knows any more is shown all the same.
    [shown] = [e["text"] for e in tree.all("pre") if e["text"].startswith("markets = ")]
    assert tomllib.loads(shown) == manifest["config"]
    assert "\u2028" not in shown
    assert [json.loads(e["text"]) for e in tree.all("pre") if e["text"].startswith("{")] == [manifest]


def test_how_to_reproduce_is_a_config_that_reads_back(tree):
    blocks = [e["text"] for e in tree.all("pre")]
    config = next(tomllib.loads(block) for block in blocks if block.startswith("markets"))
    assert config == MANIFEST["config"]
    assert any("pluraljax scan scan.toml" in block for block in blocks)
    assert any(json.loads(block) == MANIFEST for block in blocks if block.startswith("{"))


def test_large_scans_stay_under_the_limit(summaries, text, monkeypatch):
    assert len(text.encode()) < _page.LIMIT == 5_000_000
    monkeypatch.setattr(_page, "LIMIT", len(page(summaries, MANIFEST).encode()))
    smaller = page(summaries, MANIFEST)
    assert len(smaller.encode()) < len(text.encode())
    assert "To keep the page small, the diagrams leave out: what users get." in smaller
    assert "What users get" not in {measure["group"] for measure in Tree(smaller).data()["measures"]}
    monkeypatch.setattr(_page, "LIMIT", 10_000)
    with pytest.raises(ValueError, match=r"A page of 48 cells would exceed 10,000 bytes; summary\.csv has them all"):
        page(summaries, MANIFEST)


def test_the_same_rows_give_the_same_bytes(summaries, text):
    assert page(summaries, MANIFEST, about="seed 7, equilibria within delta = 0") == text


def test_the_wheel_carries_the_page(tmp_path):
    root = Path(__file__).parents[2]
    files = sorted(path.name for path in (root / "pluraljax" / "_report" / "page").iterdir())
    assert files == ["page.css", "page.html", "page.js"]
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"pluraljax/_report/page/{name}" for name in files} <= set(names)


def test_numbers_that_are_missing_are_none_and_never_nan():
    rows = [row(0, 0, "opposed", {"providers": 2}, aligned=[1.0], silent=[1.0])]
    data = Tree(page(summarize(table(rows)), MANIFEST)).data()
    labels = [measure["label"] for measure in data["measures"]]
    assert "guaranteed, personalized" not in labels
    weak = data["cells"][0]["numbers"][labels.index("weakly aligned")]
    assert weak[:2] == [1.0, 1.0]
    assert np.isfinite([x for numbers in data["cells"][0]["numbers"] if numbers for x in numbers]).all()


def test_means_that_overflow_are_left_out_of_the_page():
    own = [Column(name, "market", "value", "utility", "what she loses") for name in ("regret", "regret_twice")]
    rows = table([row(i, 0, "opposed", {"providers": 2}) for i in range(4)])
    rows = rows.append_column("regret", [[1.0] * 4]).append_column("regret_twice", [[1e308] * 4])
    with np.errstate(over="ignore", invalid="ignore"):
        summaries = summarize(rows, columns=(*COLUMNS, *own))
        data = Tree(page(summaries, MANIFEST | {"columns": [asdict(each) for each in own]})).data()
    labels = [measure["label"] for measure in data["measures"]]
    assert "regret" in labels
    assert "regret twice" not in labels


def test_the_menu_has_about_a_dozen_named_views():
    rows = [
        row(i, i % 2, "opposed", {"providers": 1 + i % 2}, personalized_served=1, anonymous_served=i % 3 - 1,
            anonymous_searched_lower=[0.5], anonymous_searched_upper=[1.0]) for i in range(12)
    ]  # fmt: skip
    measures = Tree(page(summarize(table(rows)), MANIFEST)).data()["measures"]
    assert [(measure["group"], measure["label"]) for measure in measures[:5]] == [
        ("Whom competition serves", "everyone served, either way"),
        ("Whom competition serves", "everyone served, personalized"),
        ("Whom competition serves", "everyone served, anonymous"),
        ("Conditions", "weakly aligned"),
        ("Conditions", "strongly aligned"),
    ]
    assert 10 <= len(measures) <= 14
    assert len({measure["label"] for measure in measures}) == len(measures)


def test_the_card_says_what_the_checks_say():
    """Five markets: a guarantee is open in one, an anonymous worst equilibrium in two, one of them the same."""
    wide = {"anonymous_guarantee_upper": [1.5]}
    far = {"anonymous_worst_lower": [0.2], "anonymous_worst_upper": [0.9]}
    rows = [row(i, 0, "conic", {"providers": 2}, **more) for i, more in enumerate([wide | far, far, {}, {}, {}])]
    text = page(summarize(table(rows)), MANIFEST)
    tree = Tree(text)
    tiles = dict(zip([e["text"] for e in tree.all("dt")], [e["text"] for e in tree.all("dd")], strict=True))
    assert tiles["markets with an open bracket"] == "2"
    checks = [e["text"] for e in tree.all("li")]
    assert any(
        line.startswith("a bracket is open in 2 of 5 markets; in 1 it is one that should close") for line in checks
    )
    assert any(line.startswith("bracket anonymous_worst: open in 2 markets") for line in checks)
