"""What the report says in words and numbers, on scans whose numbers are known."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from synthetic_scan import realistic, row, table

from pluraljax import Status
from pluraljax._report._comparisons import paired_columns, show_difference, show_interval
from pluraljax._report._csv import summary_csv
from pluraljax._report._layout import group_cells
from pluraljax._report._summary import PairedProportions, Proportion, summarize
from pluraljax._report._table import PLAIN_WIDTH, plain_report, print_report
from pluraljax._scan.measure._columns import EQUILIBRIA


def _cell(cell, family, parameters, weak, own=1.0, everyone=0.5, **numbers):
    """Ten markets, `weak` of them weakly aligned, with the same guarantees in each."""
    return [
        row(10 * cell + i, cell, family, parameters, weakly_aligned=int(i < weak), personalized_guarantee=[own],
            anonymous_guarantee=[everyone], **numbers)
        for i in range(10)
    ]  # fmt: skip


def _lines(rows, **options):
    return plain_report(summarize(table(rows)), **options).splitlines()


def test_a_line_holds_the_numbers_of_its_cell():
    lines = _lines(_cell(0, "conic", {"providers": 4}, weak=3, own=0.75, everyone=0.25))
    low, high = Proportion(3, 7).interval()
    frequency, guarantee, more, _, equilibria = (line for line in lines if line.strip().startswith("4  "))
    assert f"30.0 [{math.floor(100 * low)},{math.ceil(100 * high)}]" in frequency
    assert frequency.split()[1] == "30.0"
    assert guarantee.split() == ["4", "10", "0.7500", "±", "0.0000", "0.2500", "±", "0.0000"]
    assert more.split() == ["4", "+0.5000", "±", "0.0000", "0", "0", "0"]
    assert equilibria.split()[:4] == ["4", "1.0000", "±", "0.0000"]
    assert equilibria.split()[-2:] == ["100.0", "[69,100]"]


def test_equilibria_are_left_out_where_nobody_asked():
    nothing = {f"{scheme}_worst": [float("nan")] for scheme in ("personalized", "anonymous")}
    nothing |= {column.name: -1 for column in EQUILIBRIA if column.kind == "event"}
    lines = _lines(_cell(0, "conic", {"providers": 4}, weak=3, **nothing))
    assert len([line for line in lines if line.strip().startswith("4  ")]) == 4
    assert not any("worst" in line or "silence" in line or "equilibria_theorem" in line for line in lines)


def test_what_play_found_is_shown_where_somebody_asked():
    found = {"personalized_found": [0.75], "personalized_found_share": 0.5, "found_theorem": 1}
    lines = _lines(_cell(0, "conic", {"providers": 4}, weak=3, **found))
    (shown,) = (line for line in lines[-30:] if line.strip().startswith("4  ") and "50.0" in line)
    assert shown.split() == ["4", "0.7500", "±", "0.0000", "50.0", "-", "nan"]
    checked = "found_theorem: violated in 0 of 10 markets (at 95 % confidence in no more than 26 %)"
    assert checked in " ".join(lines)
    assert not any("found" in line for line in _lines(_cell(0, "conic", {"providers": 4}, weak=3)) if "theorem" in line)


def test_confidence_widens_the_intervals():
    rows = _cell(0, "conic", {"providers": 4}, weak=3)
    low, high = Proportion(3, 7).interval(0.999)
    lines = _lines(rows, confidence=0.999)
    assert any(f"[{math.floor(100 * low)},{math.ceil(100 * high)}]" in line for line in lines)
    assert any("99.9 % Clopper-Pearson" in line for line in lines)


def test_groups_name_what_tells_them_apart_and_run_over_providers():
    rows = [
        *_cell(0, "spatial", {"providers": 10, "dimension": 2, "bias": "relative"}, weak=1),
        *_cell(1, "spatial", {"providers": 2, "dimension": 2, "bias": "relative"}, weak=2),
        *_cell(2, "spatial", {"providers": 2, "dimension": 2, "bias": "absolute"}, weak=3),
        *_cell(3, "gaussian", {"shared": 0.5}, weak=4),
    ]
    groups = group_cells(summarize(table(rows)))
    assert [(g.family, g.axis, g.label) for g in groups] == [
        ("spatial", "providers", "providers' bias: relative"),
        ("spatial", "providers", "providers' bias: absolute"),
        ("gaussian", "cell", ""),
    ]
    assert [cell.parameters["providers"] for cell in groups[0].cells] == [2, 10]
    lines = _lines(rows)
    assert "spatial  dimension 2" in lines
    assert (
        lines.index("providers' bias: relative")
        < lines.index("providers' bias: absolute")
        < lines.index("gaussian  shared 0.5")
    )


def test_groups_run_over_another_parameter_where_providers_do_not_vary():
    rows = [row for cell in (0, 1) for row in _cell(cell, "gaussian", {"providers": 3, "shared": 0.5 - cell / 2}, 1)]
    (group,) = group_cells(summarize(table(rows)))
    assert group.axis == "shared"
    assert [cell.parameters["shared"] for cell in group.cells] == [0.0, 0.5]
    assert "gaussian  providers 3" in _lines(rows)


def test_nothing_that_went_wrong_is_left_out():
    fine = _cell(0, "conic", {"providers": 1}, weak=10)
    bad = _cell(1, "conic", {"providers": 2}, weak=10)
    bad[0] |= {"personalized_theorem": 0}
    bad[1] |= {"status": Status.OPEN, "weakly_aligned": -1, "anonymous_guarantee_upper": [0.9]}
    bad[2] |= {"status": Status.MASS_NOT_POSITIVE, "weakly_aligned": -1, "anonymous_theorem": -1}
    text = plain_report(summarize(table(fine + bad)))
    flowing = " ".join(text.split())
    assert "personalized_theorem: violated in 1 of 19 markets\n" in text
    assert "anonymous_theorem: violated in 0 of 19 markets (at 95 % confidence in no more than 15 %)" in flowing
    assert f"status OPEN: 1 of 20 markets. {Status.OPEN.sentence}" in flowing
    nothing = "whose rows hold no numbers and count in none above"
    assert f"status MASS_NOT_POSITIVE: 1 of 20 markets, {nothing}. {Status.MASS_NOT_POSITIVE.sentence}" in flowing
    assert "RESCUED" not in text
    assert "bracket anonymous_guarantee: open in 1 markets, see cell 1 of summary.csv\n" in text
    assert "event weakly_aligned: undecided in 1 markets, see cell 1 of summary.csv\n" in text
    frequency, guarantee, counts, *_ = (line for line in text.splitlines() if line.strip().startswith("2  "))
    low, high = Proportion(8, 0, 1).interval()
    assert f"≥88.9 [{math.floor(100 * low)},{math.ceil(100 * high)}]" in frequency
    # Nine markets of which one has the bracket [0.5, 0.9]; one violation, one open, one invalid.
    assert guarantee.split()[1:] == ["10", "1.0000", "±", "0.0000", "0.500..0.544"]
    assert counts.split()[1:] == ["+0.456..+0.500", "1", "1", "1"]


def test_users_without_a_scale_are_counted():
    rows = _cell(0, "conic", {"providers": 1}, weak=10, aligned=[1.0], silent=[1.0])
    text = plain_report(summarize(table(rows)))
    assert "10 of 10 users have nothing to gain by any conversation" in text
    assert [line for line in text.splitlines() if line.strip().startswith("1  ")][1].split()[1:] == [
        "10",
        "-",
        "-",
    ]


@pytest.mark.parametrize("kind", ["usual", "worst"])
def test_a_large_scan_fits_the_page(kind):
    rows = realistic(markets=2)
    if kind == "worst":
        unsure = {"weakly_aligned": -1, "personalized_guarantee_upper": [1.999], "anonymous_guarantee_upper": [0.999]}
        rows = table([entry | unsure | {"status": 2} for entry in _cell(0, "conic", {"providers": 100}, weak=10)])
    lines = plain_report(summarize(rows)).splitlines()
    assert max(len(line) for line in lines) <= PLAIN_WIDTH
    headings = [line for line in lines if line.lstrip().startswith("providers  ")]
    # One heading for columns side by side, however many groups there are.
    assert len(headings) == {"usual": 6, "worst": 5}[kind]
    cells = [line for line in lines if "[" in line and "," in line]
    assert len(cells) == (192 if kind == "usual" else 3)


def test_terminals_get_styles_and_files_get_plain_text():
    summaries = summarize(table(_cell(0, "conic", {"providers": 4}, weak=3)))
    terminal, narrow, plain = io.StringIO(), io.StringIO(), io.StringIO()
    print_report(summaries, Console(file=terminal, force_terminal=True, width=120, color_system="standard"))
    print_report(summaries, Console(file=narrow, force_terminal=True, width=60, color_system="standard"))
    print_report(summaries, Console(file=plain, width=60))
    assert "\x1b[" in terminal.getvalue()
    assert plain.getvalue() == narrow.getvalue() == plain_report(summaries)


def test_output_that_knows_no_greek_still_gets_its_numbers():
    raw = io.BytesIO()
    summaries = summarize(table(_cell(0, "conic", {"providers": 4}, weak=3)))
    narrow = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    print_report(summaries, Console(file=narrow))
    assert b"1.0000 ? 0.0000" in raw.getvalue()


def test_the_csv_holds_every_number_in_full():
    rows = [*_cell(0, "conic", {"providers": 4}, weak=3), *_cell(1, "gaussian", {"shared": 0.5}, weak=10)]
    rows[0] |= {"status": Status.NOT_FINITE, "weakly_aligned": -1}
    first, second = csv.DictReader(io.StringIO(summary_csv(summarize(table(rows)), 0.99)))
    assert (first["family"], first["providers"], first["shared"]) == ("conic", "4", "")
    assert (second["family"], second["providers"], second["shared"]) == ("gaussian", "", "0.5")
    assert (first["markets"], first["invalid"], first["status_not_finite"], first["status_ok"]) == ("10", "1", "1", "9")
    assert [first[f"weakly_aligned_{part}"] for part in ("yes", "no", "open")] == ["2", "7", "0"]
    low, high = Proportion(2, 7).interval(0.99)
    assert float(first["weakly_aligned_interval_low"]) == low
    assert float(first["weakly_aligned_interval_high"]) == high
    assert float(first["difference_share_lower_mean"]) == 0.5
    assert float(second["anonymous_share_upper_mean"]) == 0.5
    assert not math.isnan(float(second["weak_error_upper_standard_error"]))


def test_intervals_that_are_wide_go_to_whole_numbers_outwards():
    assert show_interval(0.3004, 0.4996) == "[30,50]"
    assert show_interval(0.3004, 0.3496) == "[30.0,35.0]"
    assert show_interval(0.0, 1.0) == "[0,100]"
    assert show_interval(-0.983, 0.033, "+") == "[-99,+4]"


def test_a_difference_with_open_markets_shows_both_its_ends():
    """Ten markets: personalized only in one, anonymous only in six, and in three the personalized half is open."""
    pair = PairedProportions.from_codes(np.array([1] + [0] * 6 + [-1] * 3), np.array([0] + [1] * 6 + [0] * 3))
    assert show_difference(pair, 0.95).startswith("-50.0..-20.0 [-")
    closed = PairedProportions.from_codes(np.array([1, 0, 0, 1]), np.array([0, 1, 1, 1]))
    assert show_difference(closed, 0.95).startswith("-25.0 [")


def test_the_smallest_p_values_are_not_told_apart():
    many = PairedProportions.from_codes(np.ones(400, int), np.zeros(400, int))
    assert many.mcnemar() < 1e-100
    (cell,) = summarize(table(_cell(0, "conic", {"providers": 4}, weak=3)))
    shown = next(entry for heading, entry in paired_columns([cell], 0.95) if "McNemar" in heading)
    assert shown(replace(cell, paired={**cell.paired, "guaranteed": many})) == "< 1e-100"
