"""Shows notebooks as pages: Markdown, code, and the outputs that are stored with them."""

import base64
import json
import posixpath

from mkdocs.structure.files import File


def _text(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def as_page(notebook: dict, name: str, pictures: dict[str, bytes]) -> str:
    """The Markdown of a notebook.

    **Arguments:**

    - `notebook`: the parsed `.ipynb`.
    - `name`: of its file, without folder and ending; begins the names of its pictures.
    - `pictures`: receives the PNG files of its outputs, by name.
    """
    parts = []
    for cell in notebook["cells"]:
        source = _text(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(_fenced("python", source))
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                raise ValueError(f"{name}: a cell ended with {output['ename']}: {output['evalue']}")
            data = output.get("data", {})
            if "image/png" in data:
                picture = f"{name}-{len(pictures)}.png"
                pictures[picture] = base64.b64decode(_text(data["image/png"]))
                what = _text(data.get("text/plain", "Figure")).strip("<>").partition(" size")[0]
                about = cell.get("metadata", {}).get("alt", what)
                parts.append(f"![{about}]({picture})")
            elif text := _text(output.get("text", data.get("text/plain", ""))):
                parts.append(_fenced("text", text))
    return "\n\n".join(parts) + "\n"


def on_files(files, config, **_):
    """Puts a page in the place of every notebook, with its pictures and the notebook itself to download."""
    for file in list(files):
        if not file.src_uri.endswith(".ipynb"):
            continue
        folder, base = posixpath.split(file.src_uri)
        name = base.removesuffix(".ipynb")
        pictures: dict[str, bytes] = {}
        text = as_page(json.loads(file.content_string), name, pictures)
        text += f"\n[Download this notebook](./{base})\n"
        files.append(File.generated(config, posixpath.join(folder, f"{name}.md"), content=text))
        for picture, content in pictures.items():
            files.append(File.generated(config, posixpath.join(folder, picture), content=content))
    return files


def on_config(config, **_):
    """Lets the navigation name notebooks by their files."""

    def renamed(entry):
        if isinstance(entry, str):
            return entry.removesuffix(".ipynb") + ".md" if entry.endswith(".ipynb") else entry
        if isinstance(entry, list):
            return [renamed(each) for each in entry]
        return {title: renamed(value) for title, value in entry.items()}

    config.nav = renamed(config.nav)
    return config
