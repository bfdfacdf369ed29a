"""The HTML page of a report in headless Chromium: no errors, intervals on hover and by keyboard, filter, sort, axe.

The browser is the system's: PLURALJAX_CHROMIUM, or whichever of the usual names is on the path. Without one these tests
are skipped with that reason, unless PLURALJAX_NEEDS_BROWSER is set, as .ci/run does: then they fail.
"""

import os
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from synthetic_scan import realistic
from test_report_page import MANIFEST

from pluraljax._report._page import page as report_page
from pluraljax._report._summary import summarize

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# As root there is no sandbox; the rest keeps the browser from looking for hosts of its own.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable():
    given = os.environ.get("PLURALJAX_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is on the path, and PLURALJAX_CHROMIUM names none"
        (pytest.fail if os.environ.get("PLURALJAX_NEEDS_BROWSER") else pytest.skip)(reason)
    return found


@pytest.fixture(scope="module")
def browser():
    path = executable()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        report_page(summarize(realistic(markets=25, providers=range(1, 5))), MANIFEST, about="seed 7"), encoding="utf-8"
    )
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page; what the console says, or the page asks of a network, ends up in a list that must stay empty."""
    contexts, complaints = [], []

    def open_page(width=1280, scheme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != address else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # The empty icon is in the page itself.
    assert [each for each in complaints if each != "data:,"] == []


def luminance(rgb):
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def fills(page):
    """What is written in each square, its colour, and the colour of the writing."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.square')].map((square) => [
            square.querySelector('text').textContent,
            ...['rect', 'text'].map((tag) =>
                getComputedStyle(square.querySelector(tag)).fill.match(/[0-9]+/g).map(Number))])"""
    )


def test_pointing_at_a_square_and_walking_to_it_show_the_same_interval(opened):
    page = opened()
    tip = page.locator("#tip")
    assert not tip.is_visible()
    squares = page.locator(".square")
    assert squares.count() == 24
    squares.nth(2).hover()
    shown = tip.inner_text()
    assert shown.startswith("spatial: ")
    assert "providers 3" in shown
    assert "95 % interval [" in shown
    assert "n = 25 markets" in shown
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    # One stop for Tab per diagram; then arrows.
    squares.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tip.inner_text() == shown
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == shown.replace("\n", "; ")
    page.keyboard.press("ArrowDown")
    assert tip.inner_text() != shown
    assert "providers 3" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert page.locator("#panels [tabindex='0']").count() == 4
    # What is out of sight comes into view, and its numbers with it.
    page.evaluate("scrollTo(0, 0)")
    squares.last.focus()
    page.wait_for_function("document.activeElement.getBoundingClientRect().bottom <= innerHeight && scrollY > 0")
    page.wait_for_timeout(200)
    assert "conic: providers 4" in tip.inner_text()
    square, box = squares.last.bounding_box(), tip.bounding_box()
    assert 0 < square["y"] - (box["y"] + box["height"]) < 12
    # Tapping is pointing.
    squares.nth(15).click()
    assert tip.is_visible()


def test_another_measure_and_curves_show_their_own_numbers(opened):
    page = opened()
    page.select_option("#measure", label="worst equilibrium, personalized")
    assert "worst personalized equilibrium" in page.locator("#meaning").inner_text()
    page.locator(".square").nth(5).hover()
    assert "worst equilibrium, personalized: 0." in page.locator("#tip").inner_text()
    page.locator("#as-curves").click()
    points = page.locator(".point")
    assert points.count() == 24
    points.nth(5).hover()
    assert "interval [" in page.locator("#tip").inner_text()
    labels = page.locator("#measure option").all_inner_texts()
    for kind in ("as-map", "as-curves"):
        page.locator(f"#{kind}").click()
        for label in labels:
            page.select_option("#measure", label=label)
            # A number that is missing or not one would leave NaN in an attribute.
            assert "NaN" not in page.locator("#panels").inner_html()


def test_the_table_filters(opened):
    page = opened()
    rows = page.locator("#table tbody tr:visible")
    assert rows.count() == 24
    page.fill("#words", "gaussian")
    assert rows.count() == 8
    page.fill("#words", "gaussian providers=3")
    assert rows.count() == 2
    assert page.locator("#shown").inner_text() == "2 of 24 cells"
    page.fill("#words", "nothing like it")
    assert rows.count() == 0
    page.fill("#words", "")
    page.select_option("#family", "conic")
    assert rows.count() == 4
    page.check("#troubled")
    assert rows.count() == page.locator("#table tbody tr[data-trouble='1'][data-family='conic']").count() < 4


def test_the_table_sorts_both_ways_by_number(opened):
    page = opened()
    heads = page.locator("#table thead tr:last-child th").all_inner_texts()
    column = next(i for i, head in enumerate(heads) if head.startswith("weakly"))
    button = page.locator("#table thead button").nth(column)
    numbers = f"[...document.querySelectorAll('#table tbody tr')].map((row) => Number(row.cells[{column}].dataset.key))"
    start = page.evaluate(numbers)
    button.click()
    assert page.evaluate(numbers) == sorted(start) != start
    assert page.locator("th[aria-sort='ascending']").count() == 1
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(numbers) == sorted(start, reverse=True)
    assert page.locator("th[aria-sort='descending']").count() == 1
    assert page.locator("th[aria-sort]").count() == 1
    # Words sort as words, and what has no entry comes last.
    family = page.locator("#table thead button").nth(1)
    family.click()
    assert page.locator("#table tbody tr").first.get_attribute("data-family") == "conic"
    bias = next(i for i, head in enumerate(heads) if head.startswith("bias"))
    page.locator("#table thead button").nth(bias).click()
    first, last = (getattr(page.locator("#table tbody tr"), end) for end in ("first", "last"))
    assert first.get_attribute("data-family") == "spatial"
    assert last.get_attribute("data-family") != "spatial"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_nothing_is_wrong_for_axe_and_shades_read_in_greyscale(opened, scheme, width):
    page = opened(scheme=scheme, width=width)
    problems = {each["id"]: each["nodes"][0]["html"] for each in Axe().run(page).response["violations"]}
    assert problems == {}
    page.locator("#as-curves").click()
    page.locator(".point").nth(2).focus()
    assert Axe().run(page).response["violations"] == []
    page.locator("#as-map").click()
    squares = fills(page)
    by_number = sorted({(int(text), luminance(fill)) for text, fill, _ in squares})
    light = [shade for _, shade in by_number]
    # Within a number, rounding; between numbers one direction, and far from end to end.
    assert light in (sorted(light), sorted(light, reverse=True))
    assert abs(light[-1] - light[0]) > 0.2
    for _, fill, ink in squares:
        ends = sorted((luminance(fill), luminance(ink)))
        assert (ends[1] + 0.05) / (ends[0] + 0.05) >= 4.5


def test_axe_finds_a_planted_mistake(opened):
    page = opened()
    page.evaluate("document.querySelector('label[for=measure]').remove()")
    assert "select-name" in {each["id"] for each in Axe().run(page).response["violations"]}


def test_colours_follow_the_system_until_somebody_chooses(opened):
    background = "getComputedStyle(document.body).backgroundColor"
    page = opened(scheme="dark")
    dark = page.evaluate(background)
    squares = fills(page)
    button = page.locator("#theme")
    button.click()
    assert button.inner_text() == "Colours: light"
    light = page.evaluate(background)
    assert light != dark
    assert fills(page) != squares
    page.reload()
    assert page.evaluate(background) == light
    button.click()
    assert page.evaluate(background) == dark
    button.click()
    assert button.inner_text() == "Colours: automatic"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == light


def test_a_phone_needs_no_sideways_scrolling_of_the_page(opened):
    page = opened(width=360, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.querySelectorAll('#panels svg')].every((svg) => svg.clientWidth <= innerWidth)")
    page.locator(".square").nth(3).tap()
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    page.locator("#as-curves").tap()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_the_table_is_all_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("#table tbody tr:visible").count() == 24
    assert page.locator("noscript p").is_visible()
    assert not page.locator("#filters").is_visible()
