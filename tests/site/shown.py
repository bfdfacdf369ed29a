"""The documentation as tests see it: its pages, their blocks of code, and their links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "experiments/README.md"]
PAGES += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
# A block may be indented where it stands in a list.
_BLOCK = re.compile(r"^([ ]*)```([^\n`]*)\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: the page and line it begins in, its language, its text, and what stands before it."""

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def is_output(self) -> bool:
        """Whether it shows what the block before it prints."""
        return self.language == "text" and self.before.strip() == "prints"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """The fenced blocks of a page, of some languages if any are named."""
    text, found, end = text_of(page), [], 0
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[2].strip(), match[3], text[end : match.start()]))
        end = match.end()
    return [block for block in found if not languages or block.language in languages]


def without_code(text: str) -> str:
    """The text of a page without its blocks and code spans, in which no link is one."""
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors that headings get, where they are read on the site and on the repository's pages."""
    found: dict[str, int] = {}
    names = set()
    for title in re.findall(r"^#+\s+(.+?)\s*$", _BLOCK.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found[name] = found.get(name, -1) + 1
        names.add(f"{name}-{found[name]}" if found[name] else name)
    return names
