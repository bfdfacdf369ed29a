"""The reference: every public name on exactly one page, found in the package and grouped by where it lives."""

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]

# Page, title, what it is about, and the modules whose public names it shows; namespaces have pages of their own.
PAGES = (
    ("markets", "Markets", "What a market is, and where it comes from.", "_market _market_file _market_form _segments"),
    ("study", "One market, one answer", "Whom competition serves, and proofs to read.", "_study _certify"),
    ("alignment", "Alignment conditions", "Does a mixture of providers want what users want?", "_alignment"),
    ("guarantees", "Every equilibrium", "What users get in each equilibrium.", "_guarantee _frontier _worst_shared"),
    ("exits", "Exits and audits", "What is left when providers are gone.", "_coverage _robust _audit"),
    (
        "profiles",
        "Profiles of policies",
        "Is this one an equilibrium?",
        "_conversation _payoff _profile_file _deviation",
    ),
    ("play", "Play", "Equilibria found by play.", "_equilibrium"),
    ("tuning", "Tuning", "Which rules align a market, at least cost?", "_tuning"),
    ("scans", "Scans", "How often, over random markets.", "_scan _statistics _report"),
    (
        "answers",
        "Answers and their status",
        "What answers are made of.",
        "_answer _on_scale _bracket _status _truth _warnings _candidates",
    ),
    # Names of modules that nobody has put on a page yet.
    ("more", "More", "Other names.", ""),
)


def public_names() -> dict[str, object]:
    """Every public name, from `plx.NAME` to `plx.namespace.NAME`, and what it stands for."""
    sys.path.insert(0, str(ROOT))
    try:
        import pluraljax as plx
    finally:
        sys.path.remove(str(ROOT))
    names: dict[str, object] = {}
    for name in sorted(plx.__all__):
        item = getattr(plx, name)
        if isinstance(item, ModuleType):
            inner = getattr(item, "__all__", None) or [each for each in vars(item) if not each.startswith("_")]
            names |= {f"{name}.{each}": getattr(item, each) for each in sorted(inner)}
            names[name] = item
        elif name != "__version__":
            names[name] = item
    return names


def page_of(name: str, item: object) -> str:
    """The page that shows a public name: its namespace's, its module's, or the last one."""
    if isinstance(item, ModuleType):
        return name
    namespace, dot, _ = name.rpartition(".")
    if dot:
        return namespace
    module = item.__module__ if hasattr(item, "__module__") else type(item).__module__
    home = module.split(".")[1] if module.startswith("pluraljax.") else module
    for page, _, _, modules in PAGES:
        if home in modules.split():
            return page
    return PAGES[-1][0]


def pages() -> dict[str, list[str]]:
    """The public names on every page: functions first, then classes, each in the order of the alphabet."""
    names = public_names()
    shown: dict[str, list[str]] = {page: [] for page, *_ in PAGES}
    for name, item in names.items():
        if not isinstance(item, ModuleType):
            shown.setdefault(page_of(name, item), []).append(name)
    for listed in shown.values():
        listed.sort(key=lambda name: (isinstance(names[name], type), name.lower()))
    return {page: listed for page, listed in shown.items() if listed}


def first_sentence(item: object) -> str:
    """How a docstring begins; empty for what has none of its own."""
    text = inspect.cleandoc(getattr(item, "__doc__", "") or "").partition("\n\n")[0].replace("\n", " ")
    return text.partition(". ")[0].rstrip(".:") if not isinstance(item, dict | tuple | str) else ""


def title_of(page: str) -> tuple[str, str]:
    """The title of a page and the sentence under it."""
    for name, title, about, _ in PAGES:
        if name == page:
            return title, about
    return f"plx.{page}", first_sentence(public_names()[page]) + "."


def fields_of(name: str, item: object) -> str:
    """A table of a class's fields with their shapes; empty for what has none."""
    if not (isinstance(item, type) and dataclasses.is_dataclass(item)):
        return ""
    rows = [f"| `{field.name}` | `{annotation(field.type)}` |" for field in dataclasses.fields(item)]
    return "\n".join([f"| field of `{name.rpartition('.')[2]}` | type |", "| --- | --- |", *rows]) if rows else ""


def annotation(kind: object) -> str:
    """How a type is written, without the modules that it comes from."""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])", "", text)
    return text.replace("|", "\\|")


def text_of(page: str, listed: list[str]) -> str:
    """The Markdown of one page: a table of what is on it, then the docstrings."""
    names = public_names()
    title, about = title_of(page)
    rows = [
        f"| [`plx.{name}`](#pluraljax.{name}) | {first_sentence(names[name]).replace('|', chr(92) + '|')} |"
        for name in listed
    ]
    blocks = [part for name in listed for part in (f"::: pluraljax.{name}", fields_of(name, names[name])) if part]
    return (
        "\n\n".join([f"# {title}", about, "\n".join(["| name | what it is |", "| --- | --- |", *rows]), *blocks]) + "\n"
    )


def contents() -> str:
    """The first page: all public names by page."""
    names = public_names()
    lines = [
        "# Reference",
        "",
        "`import pluraljax as plx`. Functions take one market; batches come from `jax.vmap`. Shapes are in the "
        "annotations, axes always in the order *provider, user, type, evidence, state, query, signal, action*. Payoffs "
        "are in the units of the market, shares on the scale on which silent is 0 and aligned is 1. An optimum is a "
        "[`Bracket`](answers.md#pluraljax.Bracket) with both ends proved.",
    ]
    for page, listed in pages().items():
        title, about = title_of(page)
        lines += ["", f"## {title}", "", f"[{about}]({page}.md)", ""]
        lines += [
            f"- [`plx.{name}`]({page}.md#pluraljax.{name}): {first_sentence(names[name])}".removesuffix(": ")
            for name in listed
        ]
    return "\n".join(lines) + "\n"


def on_config(config, **_):
    """Puts the pages of the reference into the navigation, where it says `reference/`."""
    listed = [{title_of(page)[0]: f"reference/{page}.md"} for page in pages()]
    for entry in config.nav:
        if entry.get("Reference") == "reference/":
            entry["Reference"] = [{"All names": "reference/index.md"}, *listed]
    return config


def on_files(files, config, **_):
    """Adds the pages of the reference."""
    files.append(File.generated(config, "reference/index.md", content=contents()))
    for page, listed in pages().items():
        files.append(File.generated(config, f"reference/{page}.md", content=text_of(page, listed)))
    return files
