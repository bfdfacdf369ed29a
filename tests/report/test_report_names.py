"""Names come from files that anybody may have made: no report does anything with one but show it."""

import csv
import io
import tomllib
import xml.etree.ElementTree as ElementTree

import pyarrow as pa
import pytest
from matplotlib.text import Text
from rich.console import Console
from synthetic_scan import row, table
from test_report_page import MANIFEST, Tree

from pluraljax._printable import for_spreadsheets, listed, printable, quoted
from pluraljax._report._csv import summary_csv
from pluraljax._report._figures import planned_figures, save_figure
from pluraljax._report._page import page
from pluraljax._report._summary import summarize
from pluraljax._report._table import plain_report, print_report
from pluraljax._scan.config._config import _toml_value
from pluraljax._scan.store._export import _for_spreadsheets

NAMES = {
    "screen": "\x1b[2J\x1b]0;owned\x07",
    "markup": "[bold]x[/bold] [/nothing]",
    "mathematics": r"$\frac{1}{0}$ and $\undefined$",
    "XML": "a\x00b\x0c\ufffe<b>&amp;",
    "direction": "txt.\u202evsc\u202c\u2066",
    "lines": "one\ntwo\r\n\u2028three",
    "formula": "=HYPERLINK(1)",
    "long": "long" * 5000,
}
WRONG = [chr(c) for c in (*range(32), *range(127, 160), 0x2028, 0x202C, 0x202E, 0x2066, 0xFFFE) if chr(c) != "\n"]


@pytest.fixture(params=NAMES, scope="module")
def cells(request):
    """Two cells that are told apart by a hostile name, of a family that has one, too."""
    name = NAMES[request.param]
    rows = [row(n, n % 2, f"f{name}", {"bias": name if n % 2 else f"{name}2", "users": 1}) for n in range(4)]
    return summarize(table(rows))


def test_texts_show_names_and_do_nothing_else(cells):
    terminal = io.StringIO()
    print_report(
        cells, Console(file=terminal, width=120, force_terminal=True, color_system=None), about="\x1b[1m\u202e"
    )
    for text in (plain_report(cells, about="[bold]\x1b[1m"), terminal.getvalue()):
        assert [character for character in WRONG if character in text] == []
        # A report of two cells is about 40 lines long.
        assert text.count("\n") < 120
        assert max(map(len, text.splitlines())) <= 120


def test_pages_show_names_and_do_nothing_else(cells):
    text = page(cells, MANIFEST)
    tree = Tree(text)
    assert tree.complaints == []
    shown = "".join(element["text"] for element in tree.elements) + text
    assert [character for character in WRONG if character in shown] == []


def test_figures_are_whole_whatever_names_say(cells, tmp_path):
    for each in planned_figures(cells)[:1]:
        save_figure(each.draw(), path := tmp_path / f"{each.name}.svg")
        ElementTree.parse(path)
        texts = [text.get_text() for text in each.draw().findobj(Text) if isinstance(text, Text)]
        assert not any(character in text for text in texts for character in WRONG)
        assert max(map(len, texts)) < 250


def test_no_entry_of_a_table_is_a_formula(cells):
    lines = list(csv.reader(io.StringIO(summary_csv(cells))))
    assert len(lines) == 3
    for entry in (entry for line in lines for entry in line):
        assert not entry.startswith(("=", "@", "\t", "\r"))
        assert not any(character in entry for character in WRONG)


def test_numbers_of_a_table_stay_numbers():
    for value in (-1.5, 7, True, "-1.5", "+3", "-2e-05", "0.5", "", "gaussian", float("-inf")):
        assert for_spreadsheets(value) == value
    for value in ("=1", "+x", "-1+1", "@sum", "\tx", "\r=1", "-", "＝1", "-1e5e"):
        assert for_spreadsheets(value) == f"'{printable(value)}"


def test_names_take_part_of_a_line():
    assert printable("a" * 60) == "a" * 60
    assert printable("a" * 50 + "b" * 50) == "a" * 40 + "…" + "b" * 19
    assert printable("ü – 市場 [x]") == "ü – 市場 [x]"
    assert printable("\udcff") == r"\udcff"
    assert len(quoted("x" * 10**6)) == 60
    assert listed(map(str, range(100_000))).endswith("'7' and 99,992 more")
    assert listed([]) == "nothing"


def test_a_report_replaces_links_and_follows_none(tmp_path):
    cells = summarize(table([row(0, 0, "gaussian", {"providers": 2, "users": 1})]))
    (victim := tmp_path / "victim").write_text("precious")
    (tmp_path / "alignment.svg").symlink_to(victim)
    save_figure(planned_figures(cells)[0].draw(), tmp_path / "alignment.svg")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "alignment.svg").is_symlink()


def test_an_export_to_csv_holds_no_formula():
    names = ["=1+1", "-5", "[[1, 2]]", None]
    made = _for_spreadsheets(pa.table({"=name": pa.array(names, pa.string()), "value": [-1.5, 2.0, 0.0, -3.0]}))
    assert made.to_pydict() == {"'=name": ["'=1+1", "-5", "[[1, 2]]", None], "value": [-1.5, 2.0, 0.0, -3.0]}


def test_configs_that_are_written_out_read_back():
    text = 'a\x7f\x85\u202e\U000e0001\n"\\ü'
    assert tomllib.loads(f"x = {_toml_value(text)}") == {"x": text}
    assert _toml_value(text).isprintable()
