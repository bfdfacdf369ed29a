"""Pages that are made from files elsewhere in the repository, and links that lead out of docs/."""

import ast
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
# Where files outside of docs/ are shown on the site.
SHOWN = {
    "experiments/README.md": "experiments.md",
    "experiments": "experiments.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "README.md",
}
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_HOME = {shown: home for home, shown in SHOWN.items() if home not in ("README.md", "experiments")}


def relative_links(text: str, home: str, page: str, source: str) -> str:
    """Makes the links of a Markdown text from `home` in the repository fit the site's `page`.

    **Arguments:**

    - `text`: Markdown.
    - `home`: the file that it stands in, relative to the repository.
    - `page`: the page that shows it, relative to docs/.
    - `source`: the address of the repository.

    A link that begins with `./` stays as it is; others to notebooks lead to their pages.
    """

    def instead(found):
        link = found[1]
        path, mark, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:|\./", path):
            return link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
        if target in SHOWN:
            target = SHOWN[target]
        elif target.startswith("docs/"):
            target = re.sub(r"\.ipynb$", ".md", target.removeprefix("docs/"))
        elif (ROOT / target).exists():
            kind = "tree" if (ROOT / target).is_dir() else "blob"
            return f"{source}/{kind}/main/{target}{mark}{anchor}"
        return posixpath.relpath(target, posixpath.dirname(page) or ".") + mark + anchor

    return _LINK.sub(instead, text)


def gallery() -> str:
    """The experiments: what they ask and found, their figures, and their code."""
    sections = re.split(r"(?m)^(?=## )", (ROOT / "experiments" / "README.md").read_text(encoding="utf-8"))
    told = {found[1] for section in sections if (found := re.match(r"## (\w+)\.py", section))}
    scripts = {
        path.stem: path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "experiments").glob("*.py"))
        if "__main__" in path.read_text(encoding="utf-8")
    }
    silent = set(scripts) - told
    parts = []
    for section in sections:
        name = re.match(r"## (\w+)\.py", section)
        parts.append(section.rstrip())
        if name and name[1] in scripts:
            parts.append(shown_script(name[1], scripts[name[1]]))
    for name in sorted(silent):
        question = (ast.get_docstring(ast.parse(scripts[name])) or "").partition("\n\n")[0]
        parts.append(f"## {name}.py\n\n{question}\n\n{shown_script(name, scripts[name])}")
    return "\n\n".join(parts) + "\n"


def shown_script(name: str, code: str) -> str:
    """The figure of an experiment, if there is one, and its code, folded."""
    figure = ROOT / "docs" / "figures" / f"{name}.png"
    lines = []
    if figure.exists():
        question = (ast.get_docstring(ast.parse(code)) or name).partition("\n\n")[0].replace("\n", " ")
        lines += [f"![{question}](../docs/figures/{name}.png)", ""]
    lines += [f'??? example "experiments/{name}.py"', "", "    ```python"]
    lines += [f"    {line}".rstrip() for line in code.splitlines()]
    return "\n".join([*lines, "    ```"])


def on_files(files, config, **_):
    """Adds the pages that are not in docs/, and what the site looks like."""
    for home, page in SHOWN.items():
        if page not in _HOME or files.get_file_from_path(page):
            continue
        text = gallery() if page == "experiments.md" else (ROOT / home).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for asset in sorted((Path(__file__).parent / "assets").iterdir()):
        files.append(File.generated(config, f"assets/{asset.name}", content=asset.read_bytes()))
    return files


def on_page_markdown(markdown, page, config, **_):
    """Makes links out of docs/ lead to where the site, or the repository, shows the file."""
    uri = page.file.src_uri
    if uri.startswith("reference/"):
        return markdown
    home = _HOME.get(uri, f"docs/{uri}")
    return relative_links(markdown, home, uri, config.extra["repository"])


def on_post_page(output, **_):
    """Gives the box of the search a name, which the theme does not."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
