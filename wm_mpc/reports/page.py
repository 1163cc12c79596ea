"""A report as one HTML page that needs no other file, no server and no network."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wm_mpc
from wm_mpc.atomic import write
from wm_mpc.reports.facts import facts, settings
from wm_mpc.reports.markdown import inline, to_html
from wm_mpc.reports.style import SCRIPT, STYLE

_KINDS = {".png": "image/png", ".gif": "image/gif"}
_LARGEST = 8_000_000  # bytes of films in a page; the rest is named


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture of a page.

    Attributes:
        content: A PNG or GIF file.
        kind: Its suffix, such as ".png".
        caption: What it shows.
    """

    content: bytes
    kind: str
    caption: str

    def html(self) -> str:
        """Return it with its content in it."""
        source = f"data:{_KINDS[self.kind]};base64,{base64.b64encode(self.content).decode()}"
        caption = html.escape(self.caption)
        return (
            f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption>'
            "</figure>"
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """What a page shows.

    Attributes:
        title: Its heading.
        text: The report as Markdown; a heading of level 1 in it is replaced by `title`.
        results: Contents of results.json, or of metrics.json.
        holds: Whether each claim holds; empty if nothing is claimed.
        caption: What the figure shows.
        incomplete: What `complete: false` in `results` means.
    """

    title: str
    text: str
    results: Mapping[str, Any]
    holds: Sequence[bool] = ()
    caption: str = "Figure"
    incomplete: str = "Not finished"


def save_page(report: Report, path: Path, picture: Path | None = None) -> None:
    """Write a report as HTML, with its figure and with the films beside it.

    Args:
        report: The report.
        path: HTML file to write; its folder exists.
        picture: PNG file of the figure; without one, or if it is missing, the page has no figure.

    Raises:
        OSError: A file cannot be read or written.
    """
    figures = []
    if picture is not None and picture.is_file():
        figures.append(Figure(picture.read_bytes(), ".png", report.caption))
    films, left_out = films_of(path.parent / "films")
    write(path, page(report, figures, films, left_out))


def films_of(folder: Path) -> tuple[list[Figure], list[str]]:
    """Read the films of an evaluation, the smallest first, as many as fit into a page.

    Args:
        folder: Folder of GIF files; it may be missing.

    Returns:
        The films, and the names of those that are too large.
    """
    paths = sorted(folder.glob("*.gif"), key=lambda path: (path.stat().st_size, path.name))
    films, left_out, size = [], [], 0
    for path in paths:
        size += path.stat().st_size
        if size > _LARGEST:
            left_out.append(path.name)
        else:
            films.append(Figure(path.read_bytes(), ".gif", path.stem.replace("_", " ")))
    return sorted(films, key=lambda film: film.caption), sorted(left_out)


def page(
    report: Report,
    figures: Sequence[Figure] = (),
    films: Sequence[Figure] = (),
    left_out: Sequence[str] = (),
) -> str:
    """Return a report as HTML.

    Args:
        report: The report.
        figures: Its figures.
        films: Films of episodes.
        left_out: Names of films that are not in the page.
    """
    body = [f"<h1>{inline(report.title)}</h1>", _verdict(report)]
    body += [f'<div class="main">{figure.html()}</div>' for figure in figures]
    body.append(to_html(_without_title(report.text)))
    if films or left_out:
        body.append("<h2>Films</h2>")
        body.append(f'<div class="films">{"".join(film.html() for film in films)}</div>')
    if left_out:
        body.append(f"<p>Too large for this page: {html.escape(', '.join(left_out))}.</p>")
    body.append(_origin(report.results))
    title = html.escape(report.title.replace("`", "").replace("**", ""))
    return _FRAME.format(
        title=title, style=STYLE, script=SCRIPT, version=html.escape(wm_mpc.__version__),
        body="\n".join(part for part in body if part),
    )  # fmt: skip


def _verdict(report: Report) -> str:
    if report.results.get("complete") is False:
        return f'<p class="verdict bad">{html.escape(report.incomplete)}</p>'
    if not report.holds:
        return ""
    look, count = "good" if all(report.holds) else "bad", len(report.holds)
    text = "Passed" if report.holds == (True,) else f"{sum(report.holds)} of {count} hold"
    if report.holds == (False,):
        text = "Not passed"
    return f'<p class="verdict {look}">{text}</p>'


def _without_title(text: str) -> str:
    first, _, rest = text.partition("\n")
    return rest if first.startswith("# ") else text


def _origin(results: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{inline(value)}</dd>" for name, value in facts(results)
    )
    shown = html.escape(settings(results))
    return (
        f"<h2>How it was made</h2>\n<dl>{rows}</dl>\n"
        f"<details><summary>All settings</summary><pre>{shown}</pre></details>"
    )


# The policy forbids every request, so a page that would load something shows it as an error.
_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
<footer>wm_mpc {version}</footer>
</main>
<script>
{script}</script>
</body>
</html>
"""
