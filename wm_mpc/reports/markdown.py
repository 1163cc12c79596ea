"""From the Markdown of our reports to HTML.

It knows what our reports have: headings, paragraphs, lists, tables, bold and code. All text is
escaped, so a name in a report can never become HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

_CELL = re.compile(r"(?<!\\)\|")
_LONG = 30  # letters, from which on a cell may break into lines
_NUMBER = re.compile(r"^[-+]?\d")
_VERDICTS = {"yes": "good", "no": "bad", "**no**": "bad", "**yes**": "good"}


def to_html(text: str) -> str:
    """Convert a report.

    Args:
        text: Markdown.

    Returns:
        HTML of its blocks. A heading of level n becomes one of the same level.
    """
    return "\n".join(_block(lines) for lines in _blocks(text))


def inline(text: str) -> str:
    """Convert a line: escaped, with `code` and **bold**.

    Args:
        text: Markdown without line breaks.
    """
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        f"<code>{html.escape(part)}</code>"
        if number % 2
        else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(part))
        for number, part in enumerate(parts)
    )


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that a click on a heading sorts.

    Args:
        names: Headings.
        rows: Cells, as Markdown.
    """
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{inline(name)}</button></th>'
        for name in names
    )
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return (
        '<div class="table" tabindex="0" role="region" aria-label="table"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def cells(line: str) -> list[str]:
    """Split a row of a Markdown table.

    Args:
        line: Such as "| a | b |". A bar with a backslash before it belongs to a cell.
    """
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(inner)]


def _blocks(text: str) -> Iterator[list[str]]:
    """Lines that belong together: a heading, a list, a table or a paragraph."""
    block: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#") or (block and _kind(line) != _kind(block[0])):
            if block:
                yield block
            block = []
        if line.startswith("#"):
            yield [line]
        elif line.strip():
            block.append(line)
    if block:
        yield block


def _kind(line: str) -> str:
    return line[0] if line[0] in "|-" else ""


def _block(lines: Sequence[str]) -> str:
    first = lines[0]
    if first.startswith("#"):
        level = len(first) - len(first.lstrip("#"))
        return f"<h{level}>{inline(first[level:].strip())}</h{level}>"
    if first.startswith("|") and len(lines) > 1:
        return table(cells(first), [cells(line) for line in lines[2:]])
    if first.startswith("- "):
        items = "".join(f"<li>{inline(line.removeprefix('- '))}</li>" for line in lines)
        return f"<ul>{items}</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"


def _cell(text: str) -> str:
    look = _VERDICTS.get(text, "")
    if len(text) > _LONG:
        look = "long"
    elif not look and _NUMBER.match(text):
        look = "number"
    return f'<td class="{look}">{inline(text)}</td>' if look else f"<td>{inline(text)}</td>"
