"""Turns formulas into MathML while the site is built, so that no page needs a script to show them."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
# Characters of a formula in a text that may be wider than a phone.
_LONG = 50
# What the converter does not know, in words that it does.
_WORDS = (
    (r"\bigl", r"\left"),
    (r"\bigr", r"\right"),
    (r"\Bigl", r"\left"),
    (r"\Bigr", r"\right"),
    (r"\tfrac", r"\frac"),
)


def mathml(latex: str, block: bool) -> str:
    """Converts one formula; raises a `ValueError` where a command would be left as it is."""
    for word, instead in _WORDS:
        latex = re.sub(re.escape(word) + r"(?![a-zA-Z])", lambda _, instead=instead: instead, latex)
    result = convert(latex, display="block" if block else "inline")
    if "\\" in html.unescape(re.sub(r"&#x?0*(5C|92);", r"\\", result)):
        raise ValueError(f"wanted a formula in commands that have a MathML, got {latex!r}")
    return result


def on_page_content(content, page, **_):
    """Replaces every formula of a page."""

    def instead(found):
        tag, text = found.groups()
        latex = html.unescape(text).strip()
        for before, after in ((r"\(", r"\)"), (r"\[", r"\]")):
            latex = latex.removeprefix(before).removesuffix(after)
        try:
            formula = mathml(latex.strip(), block=tag == "div")
        except ValueError as error:
            raise ValueError(f"{page.file.src_uri}: {error}") from error
        # Wide formulas scroll by themselves, and by keyboard.
        if tag == "div":
            return f'<div class="formula" tabindex="0">{formula}</div>'
        return f'<span class="formula" tabindex="0">{formula}</span>' if len(latex) > _LONG else formula

    return _FORMULA.sub(instead, content)
