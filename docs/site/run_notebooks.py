"""Runs the notebooks of docs/notebooks and stores what they show: `python docs/site/run_notebooks.py [NAME ...]`.

Outputs are kept small and the same from run to run: text and PNG pictures only, no times, no numbers of executions.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "notebooks"
_KEPT = ("text/plain", "image/png")


def executed(path: Path, timeout: float = 900) -> dict:
    """Runs one notebook in an empty folder and returns it with its outputs; raises what a cell raises."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    root = str(FOLDER.parents[1])
    found = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([root, found] if found else [root])
    try:
        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=resources).execute()
    finally:
        if found is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = found
    return _plain(json.loads(nbformat.writes(notebook)))


def _plain(notebook: dict) -> dict:
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if cell["cell_type"] != "code":
            continue
        cell["execution_count"] = None
        cell["outputs"] = [_plain_output(output) for output in cell["outputs"] if not _is_noise(output)]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _is_noise(output: dict) -> bool:
    return output["output_type"] == "stream" and output["name"] == "stderr"


def _plain_output(output: dict) -> dict:
    if "data" in output:
        output["data"] = {kind: value for kind, value in output["data"].items() if kind in _KEPT}
        output["metadata"] = {}
    if "execution_count" in output:
        output["execution_count"] = None
    return output


def shown(notebook: dict) -> list[str]:
    """What the cells of a notebook show, in order; of pictures only that they are there."""
    texts = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = output.get("text", data.get("text/plain", ""))
            picture = "picture" if "image/png" in data else ""
            texts.append(picture or (text if isinstance(text, str) else "".join(text)))
    return texts


def main(names: list[str]) -> None:
    """Runs some notebooks, or all of them, and writes them back."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            notebook = executed(path)
            path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{path.name}: {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
