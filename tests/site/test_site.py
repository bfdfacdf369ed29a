"""The site as it is built: strictly, with links that lead somewhere, nothing fetched, and good to read in a browser."""

import functools
import html
import html.parser
import http.server
import os
import posixpath
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest
from shown import ROOT

sys.path.append(str(ROOT / "tests" / "report"))
pytest.importorskip("mkdocs", reason="the site is built with the extra docs, which is not installed")
pytestmark = pytest.mark.slow

CONFIG = ROOT / "docs" / "site" / "mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", CONFIG, "-d", folder]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "JAX_PLATFORMS": "cpu"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(html.parser.HTMLParser):
    """The anchors of a page, what it links to, and what a browser would fetch for it."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.anchors |= {named[name] for name in ("id", "name") if named.get(name)}
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        elif tag == "link" and named.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(named.get("href") or "")
        elif named.get("src"):
            self.fetched.append(named["src"])


def pages(folder: Path) -> dict[str, Page]:
    """Every page of the site by its path from the top."""
    return {
        path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")
    }


def broken(folder: Path) -> list[str]:
    """Links and files of the site that lead nowhere, and what would be fetched from elsewhere."""
    found, wrong = pages(folder), []
    for name, page in found.items():
        for link in page.links + page.fetched:
            parts = urllib.parse.urlsplit(html.unescape(link))
            if parts.scheme or parts.netloc:
                if link in page.fetched and parts.scheme != "data":
                    wrong.append(f"{name} fetches {link}")
                continue
            # The page for what is not found is served anywhere, so its links begin at the top.
            path = parts.path.removeprefix("/pluraljax") if name == "404.html" else parts.path
            base = "" if path.startswith("/") else posixpath.dirname(name)
            target = posixpath.normpath(posixpath.join(base, urllib.parse.unquote(path).lstrip("/"))) if path else name
            if (folder / target).is_dir():
                target = posixpath.normpath(posixpath.join(target, "index.html"))
            if not (folder / target).exists():
                wrong.append(f"{name}: {link}")
            elif parts.fragment and target in found and parts.fragment not in found[target].anchors | {"__skip"}:
                wrong.append(f"{name}: {link} (no such anchor)")
    return wrong


def test_links_lead_somewhere_and_nothing_is_fetched(site):
    found = pages(site)
    assert len(found) > 25
    assert broken(site) == []


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<a href="a/">x</a><a href="a/#no">x</a><a href="b/">x</a>')
    (tmp_path / "a" / "index.html").write_text('<h1 id="yes"></h1><a href="../#yes">x</a><img src="https://x.y/z.png">')
    assert sorted(broken(tmp_path)) == [
        "a/index.html fetches https://x.y/z.png",
        "a/index.html: ../#yes (no such anchor)",
        "index.html: a/#no (no such anchor)",
        "index.html: b/",
    ]


def test_formulas_are_formulas(site):
    text = (site / "mathematics" / "index.html").read_text(encoding="utf-8")
    assert text.count("<math") > 250
    assert "arithmatex" not in text
    assert "$" not in text.partition("<article")[2].partition("</article>")[0]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that does not tell what it is asked for."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Serves the site on this machine."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    from test_report_browser import FLAGS, executable

    path = executable()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


# Home and tutorial by every scheme and width, one page of each other kind, and formulas on a phone.
VISITS = [(name, width, scheme) for name in ("", "tutorial/") for width in (390, 1280) for scheme in ("light", "dark")]
VISITS += [("reference/markets/", 390, "light"), ("scan/", 1280, "dark"), ("notebooks/first_market/", 390, "dark")]
VISITS += [("mathematics/", 390, "light")]
# Headings of tables that are formulas alone: axe does not read them, screen readers do.
UNREAD = {"mathematics/": {"empty-table-header"}}


@pytest.mark.parametrize(("name", "width", "scheme"), VISITS)
def test_a_browser_finds_nothing_wrong(browser, address, name, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        page, complaints = context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(address) else complaints.append(request.url))
        page.goto(address + name)
        assert (
            page.evaluate("document.body.getAttribute('data-md-color-scheme')")
            == {"light": "default", "dark": "slate"}[scheme]
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        problems = {
            each["id"]: [node["html"][:200] for node in each["nodes"][:3]]
            for each in Axe().run(page).response["violations"]
            if each["id"] not in UNREAD.get(name, set())
        }
        assert problems == {}
        assert [each for each in complaints if not each.startswith("data:")] == []
    finally:
        context.close()
