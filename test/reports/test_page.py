"""Pages of reports: whole, without the network, and with all that is needed to repeat a result."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wm_mpc.cli import report as command
from wm_mpc.reports.page import Figure, Report, films_of, page, save_page

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "results").rglob("results.json"))
PNG = b"\x89PNG\r\n\x1a\n"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
TABLE = "| name | ms |\n|---|---|\n| b | 10.5 |\n| a | 9 |\n| c | - |"


def minimal(**changes):
    results = {"command": "evaluate --task wall", "code": "0.1.0 abc", "seed": 7}
    return Report(**{"title": "A title", "text": f"# A\n\n{TABLE}", "results": results, **changes})


def is_ours(path):
    return any(kind.key in json.loads(path.read_text()) for kind in command.KINDS.values())


@pytest.fixture(scope="module", params=[path for path in RESULTS if is_ours(path)], ids=str)
def measured(request):
    """Results of this repository and their page."""
    report = command.read_report(request.param)
    return report.results, page(report, [Figure(PNG, ".png", report.caption)])


def test_page_asks_nobody_for_anything(measured):
    _, text = measured
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_page_says_how_the_result_was_made(measured):
    results, text = measured
    plain = html.unescape(re.sub(r"<[^>]+>", "", text))
    assert results["command"] in plain
    assert results["code"] in plain
    if "seed" in results:
        assert f"seed{results['seed']}" in plain
    checkpoints = results.get("checkpoints") or []
    entries = checkpoints.values() if isinstance(checkpoints, dict) else checkpoints
    for entry in entries:
        assert entry["sha256"][:16] in plain
        assert entry["provenance"]["data"]["hash"] in plain


def test_page_has_every_row_of_the_markdown(measured):
    results, text = measured
    report = next(k.report for k in command.KINDS.values() if k.key in results)(results)
    assert "Not finished" not in text
    rows = [line for line in report.text.splitlines() if line.startswith("|")]
    tables = len([line for line in rows if set(line) <= set("|- :")])
    assert text.count("<tr>") == len(rows) - tables


def test_verdict_counts_claims():
    assert "2 of 3 hold" in page(minimal(holds=(True, False, True)))
    assert "Not passed" in page(minimal(holds=(False,)))
    assert 'class="verdict' not in page(minimal())


def test_unfinished_results_are_called_so():
    results = {**minimal().results, "complete": False}
    assert "Not finished" in page(minimal(results=results, holds=(True, True)))
    text = page(minimal(results=results, incomplete="Only a part"))
    assert "Only a part" in text
    assert "Not finished" not in text


def test_hostile_texts_stay_texts():
    bad = "</script><script>alert(1)</script>"
    figure = Figure(PNG, ".png", f'{bad}" onload="alert(1)')
    results = {"command": bad, "code": bad, "machine": {"cpu": bad}, "task": bad}
    text = page(minimal(title=bad, text=bad, results=results), [figure], [figure], [bad])
    assert text.count("<script>") == 1
    assert "alert(1)</script>" not in text
    assert 'onload="alert' not in text


def test_figure_and_films_are_in_the_page(tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "adam_success_000.gif").write_bytes(b"GIF89a")
    (tmp_path / "results.png").write_bytes(PNG)
    save_page(minimal(), tmp_path / "results.html", tmp_path / "results.png")
    text = (tmp_path / "results.html").read_text()
    assert text.count('src="data:image/png;base64,') == 1
    assert text.count('src="data:image/gif;base64,') == 1
    assert "adam success 000" in text


def test_films_that_are_too_large_are_named(tmp_path):
    for name, size in (("small", 10), ("large", 9_000_000)):
        (tmp_path / f"{name}.gif").write_bytes(b"\0" * size)
    films, left_out = films_of(tmp_path)
    assert [film.caption for film in films] == ["small"]
    assert left_out == ["large.gif"]
    assert "large.gif" in page(minimal(), [], films, left_out)


# -------------------------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path):
    for name in ("results.json", "results.png"):
        shutil.copy(ROOT / "results" / "wall" / name, tmp_path)
    return tmp_path


def test_command_writes_the_reports_again(folder, capsys):
    assert command.main([str(folder)]) == 0
    assert str(folder / "results.html") in capsys.readouterr().out
    assert (folder / "results.md").read_text().startswith("| task |")
    assert "image/png" in (folder / "results.html").read_text()


TRAINING = {
    "command": "train --task wall", "code": "0.1.0 abc", "seed": 3, "task": "wall",
    "data": {"hash": "60014794f9ab324e", "episodes": 40}, "synthesis": ["online"],
    "updates": {"dynamics": 6000}, "training_seconds": 864,
    "metrics": {"open_loop_error": [0.01, 0.016], "effective_rank": 12.5, "odd": "none"},
}  # fmt: skip


def test_training_has_a_report_too(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(TRAINING))
    assert command.main([str(tmp_path)]) == 0
    text, page = ((tmp_path / f"report.{end}").read_text() for end in ("md", "html"))
    assert "| effective_rank | 12.5 |" in text
    assert "Training: wall" in page
    assert "60014794f9ab324e" in page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot read"),
        ("[]", "has no results: it is list"),
        ('{"a": 1}', "is of no known kind; accepted: evaluation, benchmark"),
        ('{"cells": [1]}', "is from another version, or incomplete"),
    ],
)
def test_what_is_no_result_is_named(tmp_path, capsys, content, says):
    (tmp_path / "results.json").write_text(content)
    assert command.main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert str(tmp_path / "results.json") in error


def test_folder_without_results_is_named(tmp_path, capsys):
    assert command.main([str(tmp_path)]) == 1
    assert "has no results.json or metrics.json" in capsys.readouterr().err


# -------------------------------------------------------------------------------- in a browser


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_click_on_a_heading_sorts_the_table_by_number_and_back(tmp_path):
    clicks = """<script>
    const seen=[],order=()=>seen.push([...document.querySelectorAll("td:first-child")]
      .map(cell=>cell.textContent).join(""));
    const buttons=document.querySelectorAll("th button");
    order();buttons[1].click();order();buttons[1].click();order();buttons[0].click();order();
    document.title=seen.join(" ")</script></body>"""
    path = tmp_path / "page.html"
    path.write_text(page(minimal()).replace("</body>", clicks))
    shown = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/own",
         "--enable-logging=stderr", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "<title>bac abc bac abc</title>" in shown.stdout  # c has no number: always last
    assert "CONSOLE" not in shown.stderr
