"""What pages show of files and of what commands print is in these files, and printed by these commands.

A block of text that is no output of Python is an excerpt, with "..." where something is left out: of a file in
docs/examples, or of what the last command before it prints. Times are not compared.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap

import pytest
from shown import PAGES, ROOT, Block, blocks, text_of

import pluraljax as plx

EXAMPLES = {path.name: path.read_text() for path in sorted((ROOT / "docs" / "examples").glob("*.csv"))}
# What other processes of these tests compiled is there for this one.
ENVIRONMENT = os.environ | {
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "processes"),
    "JAX_PLATFORMS": "cpu",
    "PLURALJAX_QUIET": "1",
}
# Commands take turns in one process, which compiles once; before them, what a page does in Python.
SEVERAL = """
import contextlib, io, json, sys
from pluraljax._cli import main

before, *commands = sys.argv[1:]
exec(before)
printed = {}
for command in commands:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(json.loads(command))
    printed[command] = out.getvalue()
print(json.dumps(printed))
"""
_COMMAND = re.compile(r"\bpluraljax ((?:study|certify) [^\n`#]*\.(?:csv|npz)\b[^\n`#]*)")


def is_table(block: Block) -> bool:
    """Whether it shows rows of a spreadsheet."""
    return all(line.count(",") >= 4 or line == "..." for line in textwrap.dedent(block.text).strip().splitlines())


def command_before(block: Block) -> list[str] | None:
    """The last command on the page that stands before a block, and not in another block of text."""
    text = "\n".join(text_of(block.page).splitlines()[: block.line - 1])
    for other in blocks(block.page, "text"):
        text = text.replace(other.text, "")
    found = _COMMAND.findall(text)
    return shlex.split(found[-1]) if found else None


def plain(text: str) -> str:
    """A text without what its layout and the machine make of it."""
    return re.sub(r"\(about [^)]*\)", "(about ...)", " ".join(text.split()))


def missing(block: Block, printed: str) -> list[str]:
    """The parts of an excerpt that are not printed, or not in this order."""
    left, wrong = plain(printed), []
    for part in filter(str.strip, re.split(r"^\s*\.\.\.\s*$", block.text, flags=re.MULTILINE)):
        before, found, after = left.partition(plain(part))
        if not found:
            wrong.append(f"{block.page}, line {block.line}: not printed: {part!r}")
        left = after if found else before
    return wrong


OUTPUTS = [block for page in PAGES for block in blocks(page, "text") if not block.is_output and not is_table(block)]
TABLES = [block for page in PAGES for block in blocks(page, "text") if not block.is_output and is_table(block)]


def run(outputs: list[Block], folder, before: str = "") -> list[str]:
    """Runs the commands whose outputs blocks show, and lists what is shown and not printed."""
    commands = {json.dumps(command_before(block)): None for block in outputs}
    (folder / "docs").symlink_to(ROOT / "docs")
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, before, *commands], capture_output=True, text=True, env=ENVIRONMENT, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return [each for block in outputs for each in missing(block, printed[json.dumps(command_before(block))])]


def test_every_excerpt_has_a_command():
    assert [f"{block.page}, line {block.line}" for block in OUTPUTS if command_before(block) is None] == []


def test_what_pages_show_of_studies_is_printed(tmp_path):
    shown = [block for block in OUTPUTS if (command_before(block) or [""])[0] == "study"]
    assert {block.page for block in shown} == {"docs/study.md", "docs/tutorial.md"}
    assert run(shown, tmp_path) == []


@pytest.mark.slow  # certificates compile more than studies
def test_what_pages_show_of_certificates_is_printed(tmp_path):
    shown = [block for block in OUTPUTS if (command_before(block) or [""])[0] == "certify"]
    assert {block.page for block in shown} == {"docs/certify.md", "docs/tutorial.md"}
    assert run(shown, tmp_path, blocks("docs/certify.md", "python")[0].text) == []


def test_what_pages_show_of_files_is_in_them(tmp_path):
    """Rows of examples; or whole markets."""
    for place, block in enumerate(TABLES):
        rows = set(block.text.splitlines()) - {"..."}
        if any(rows <= set(text.splitlines()) for text in EXAMPLES.values()):
            continue
        path = tmp_path / f"{place}.csv"
        path.write_text(textwrap.dedent(block.text))
        plx.load_market(path)


def test_what_is_not_printed_is_found():
    block = Block("page.md", 1, "text", "Ann is  served\n...\n(about 8\nseconds) Dev\n", "")
    assert missing(block, "Ann is\n served, Bo, and (about a second) Dev") == []
    assert missing(block, "(about a second) Dev, Ann is served") != []
    assert missing(block, "Ann is served, (about a second) user 3") != []
    assert is_table(Block("page.md", 1, "text", "   a,b,c,d,e\n   ...\n   1,,,,\n", ""))
    assert not is_table(block)
