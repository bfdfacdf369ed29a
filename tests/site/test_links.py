"""Links between pages lead to a file that is there and to a heading that is in it."""

import posixpath
import re

import pytest
from shown import PAGES, ROOT, anchors, text_of, without_code

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def broken(page: str, text: str) -> list[str]:
    """The relative links of a page that lead nowhere."""
    wrong = []
    for link in _LINK.findall(without_code(text)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else ROOT / page
        if not target.exists():
            wrong.append(f"{link}: there is no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(f"{link}: there is no such heading")
    return wrong


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", ".github/SECURITY.md"])
def test_links_lead_somewhere(page):
    assert broken(page, text_of(page)) == []


def test_broken_links_are_found():
    text = "# A\n[a](gone.md) [b](README.md#nowhere) [c](#a) `[d](x.md)` [e](scan.md#which-market-is-which) [f](https://x.y)\n"
    assert broken("docs/mathematics.md", text) == [
        "gone.md: there is no such file",
        "README.md#nowhere: there is no such heading",
        "#a: there is no such heading",
    ]
    assert anchors("# A `b.c` (d), e\n## [x](y) z\n## [x](y) z\n") == {"a-bc-d-e", "x-z", "x-z-1"}


def test_every_page_is_linked_from_the_first():
    linked = {link.partition("#")[0] for link in _LINK.findall(text_of("docs/README.md"))}
    pages = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert pages - linked == set()
