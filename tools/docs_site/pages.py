"""The pages that a person reads: README.md and docs/. What is made by a program stands between
markers in them:

    <!-- made: parameters mpc -->
    | parameter | ...
    <!-- end -->

or in the middle of a sentence: `It succeeds in <!-- made: success wall -->97 %<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Makers = Mapping[str, Callable[..., str]]

_MADE = re.compile(r"<!-- made: (?P<what>[^>]*?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`[^`\n]*`")
_TARGET = re.compile(r"\]\([^)\s]*\)")
# What is measured: a share, a time of a computation, a count of a count, a factor, a p value.
_FIGURES = (
    re.compile(r"\d[\d.,]*\s?%"),
    re.compile(r"\d[\d.,]*\s?(ms|milliseconds|minutes|hours)\b"),
    re.compile(r"\b\d[\d,]* (of|out of) (the )?\d"),
    re.compile(r"\b\d[\d.]*(x|\s(times|fold))\b"),
    re.compile(r"\bp\s?[=<]\s?0"),
)


class PageError(ValueError):
    """A page that cannot be made; the message names the page and the marker."""


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def updated(text: str, makers: Makers, page: str = "page") -> str:
    """The text of a page with everything between markers made anew.

    Args:
        text: of the page.
        makers: functions by name; each gets the marker's other words, and returns Markdown.
        page: its name, for errors.

    Raises:
        PageError: a marker names nothing known, or nothing can be made of it.
    """

    def made(match: re.Match[str]) -> str:
        name, *words = match["what"].split()
        if name not in makers:
            raise PageError(f"{page}: marker {match['what']!r}; known: {', '.join(sorted(makers))}")
        try:
            new = makers[name](*words).strip()
        except (LookupError, TypeError, ValueError, OSError) as error:
            raise PageError(f"{page}: marker {match['what']!r}: {error!r}") from error
        if "\n" in match["text"] or "\n" in new:
            new = f"\n\n{new}\n\n"
        return f"<!-- made: {match['what']} -->{new}<!-- end -->"

    result = _MADE.sub(made, text)
    if result.count("<!-- made:") != len(_MADE.findall(result)):
        raise PageError(f"{page}: a marker has no <!-- end -->")
    return result


def typed_by_hand(text: str) -> str:
    """A page without what is made, without code and without the targets of links. Lines stay lines,
    so that a place can be named."""
    for pattern in (_MADE, _FENCE, _INLINE, _TARGET):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text


def figures(text: str) -> Iterator[tuple[int, str]]:
    """Measured figures that somebody typed by hand into a page: line number, and the figure."""
    for number, line in enumerate(typed_by_hand(text).splitlines(), 1):
        for pattern in _FIGURES:
            for match in pattern.finditer(line):
                yield number, match[0]


def code_blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Fenced blocks of a language: line number of the first line, and the code."""
    pattern = re.compile(rf"^( *)```{language}\b[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
    for match in pattern.finditer(text):
        indent = match[1]
        code = "\n".join(line.removeprefix(indent) for line in match[2].splitlines())
        yield text[: match.start(2)].count("\n") + 1, code
