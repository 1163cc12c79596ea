"""README.md and the site say what the code does and what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from docs_site import pages as tools
from docs_site import sources

pytestmark = pytest.mark.ros  # tables are made with the nodes' helpers
ROOT = Path(__file__).resolve().parents[2]
README_LINES = 150


def test_what_is_made_from_code_and_results_is_up_to_date(pages):
    update_docs = sources.load(ROOT / "tools" / "update_docs.py")
    for name, text in pages.items():
        new = tools.updated(text, update_docs.MAKERS, name)
        assert new == text, f"{name}: run python tools/update_docs.py"


def test_launch_files_read_the_parameters_that_the_nodes_have():
    text = sources.PARAMETERS_JSON.read_text(encoding="utf-8")
    assert text == sources.parameters_json(), "run python tools/update_docs.py"


def test_no_measured_figure_is_typed_by_hand(pages):
    found = [
        f"{name}:{line}: {figure}"
        for name, text in pages.items()
        for line, figure in tools.figures(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "It reaches 89 % of the goals.",
        "It reaches 89% of the goals.",
        "A plan takes 7.4 ms.",
        "37 of 40 goals",
        "16 times as fast, or 16x",
        "better (p = 0.03)",
        "It took 14 minutes.",
        "- in a list: 3 of 4\n",
        "| in a table | 3.5 ms |",
    ],
)
def test_a_figure_typed_by_hand_is_found(text):
    assert list(tools.figures(text)), text


@pytest.mark.parametrize(
    "text",
    [
        "<!-- made: cell wall success -->97 %<!-- end -->",
        "```\nepisodes 20  mean plan 3.6 ms\n```",
        "the option `--range 5 %`",
        "a table with 3 columns and a horizon of 7 model steps",
        "[98 %](results.md) is not a figure: <!-- made: x -->\n98 %\n<!-- end -->"[17:],
    ],
)
def test_what_is_no_figure_of_a_measurement_is_let_be(text):
    assert list(tools.figures(text)) == []


def test_a_figure_is_named_with_its_line():
    text = "first\n\n```\n1 ms\n```\nlast: 2 ms\n"
    assert list(tools.figures(text)) == [(6, "2 ms")]


def test_a_marker_is_filled_in_a_line_and_in_a_block():
    makers = {"one": lambda: "1", "table": lambda *words: f"| {words[0]} |\n|---|"}
    text = "It is <!-- made: one -->0<!-- end -->.\n\n<!-- made: table a --><!-- end -->\n"
    once = tools.updated(text, makers)
    assert "It is <!-- made: one -->1<!-- end -->." in once
    assert "<!-- made: table a -->\n\n| a |\n|---|\n\n<!-- end -->" in once
    assert tools.updated(once, makers) == once


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!-- made: nothing --><!-- end -->", "known: one"),
        ("<!-- made: one too many --><!-- end -->", "takes 0 positional"),
        ("<!-- made: one -->", "has no <!-- end -->"),
    ],
)
def test_a_marker_that_cannot_be_filled_is_an_error(text, told):
    with pytest.raises(tools.PageError, match=re.escape(told)):
        tools.updated(text, {"one": lambda: "1"}, "page.md")


def test_no_marker_in_a_sentence_begins_a_line(pages):
    """There, Markdown takes it for a paragraph of its own."""
    for name, text in pages.items():
        for number, line in enumerate(text.splitlines(), 1):
            begins = re.match(r"<!-- made: [^>]* -->(.*)", line)
            assert not (begins and begins[1]), f"{name}:{number}: {line}"


WORDS = {
    "low-level": "control step",
    "control period": "control step (the period is its length)",
    "redraw": "draw",
    "anew": "again",
    "frameskip": "frame skip",
    "warm-start": "warm start",
    "at so many": "multiple",
}


def test_pages_use_the_words_of_the_glossary(pages):
    for name, text in pages.items():
        if name == "docs/glossary.md":
            continue
        for number, line in enumerate(tools.typed_by_hand(text).splitlines(), 1):
            for word, better in WORDS.items():
                assert word not in line.lower(), f"{name}:{number}: {word!r}; say {better!r}"


def test_readme_is_short(pages):
    assert len(pages["README.md"].splitlines()) <= README_LINES


def test_links_to_files_lead_somewhere(pages):
    for name, text in pages.items():
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
            if "/api/" in f"/{target}":  # made when the site is built
                assert Path(target).stem in api(), f"{name} links to {target}"
                continue
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_links_to_headings_lead_somewhere(pages):
    for name, text in pages.items():
        for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", text):
            path = (ROOT / name).parent / target if target else ROOT / name
            other = pages[str(path.resolve().relative_to(ROOT))]
            assert heading in {anchor(line) for line in headings(other)}, f"{name}: #{heading}"


def headings(text):
    return re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


def anchor(heading):
    """As Python-Markdown makes it."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


def test_each_page_is_in_the_navigation(pages):
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name in pages:
        if name != "README.md":
            assert f": {name.removeprefix('docs/')}\n" in text, f"{name} is not in mkdocs.yml"


def api():
    return yaml.safe_load((ROOT / "tools/docs_site/api.yaml").read_text(encoding="utf-8"))


def test_modules_of_the_api_pages_exist():
    for page in api().values():
        for module in page["modules"]:
            path = ROOT.joinpath(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


def test_each_command_has_a_table_of_its_options_or_parameters(pages):
    commands = pages["docs/reference/cli.md"] + pages["docs/reference/parameters.md"]
    for name in sources.executables():
        made = f"<!-- made: options {name} -->", f"<!-- made: parameters {name} -->"
        assert any(each in commands for each in made), f"{name} has no table"


def test_options_are_sentences_that_stand_alone(pages):
    rows = [row for row in pages["docs/reference/cli.md"].splitlines() if row.startswith("| `--")]
    assert len(rows) > 80
    for row in rows:
        assert "see below" not in row, row
        assert re.search(r"[^.|:] One of `", row) is None, row
        assert re.search(r"\| [A-Z]\w+\.[A-Z]+\b", row) is None, row


def test_each_launch_file_has_a_table(pages):
    for name in sources.launch_files():
        assert f"<!-- made: launch {name} -->" in pages["docs/reference/launch.md"]


def test_each_topic_of_our_nodes_is_in_the_reference(pages):
    """Names that the nodes create publishers, subscriptions and services with."""
    text = pages["docs/reference/topics.md"]
    pattern = r'(?:create_(?:publisher|subscription|service)|subscribe)\(\s*\w+,\s*"([^"]+)"'
    found = set()
    for path in (ROOT / "wm_mpc" / "nodes").rglob("*.py"):
        found |= set(re.findall(pattern, path.read_text(encoding="utf-8")))
    assert len(found) > 15
    for name in found:
        assert name.removeprefix("~/") in text, f"topics.md does not name {name}"


def test_tools_of_the_pages_have_pinned_versions_that_agree_with_the_others():
    def versions(name):
        text = (ROOT / "tools" / name).read_text(encoding="utf-8")
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        assert all("==" in line for line in lines if line)
        return dict(line.split(";")[0].split("==") for line in lines if line)

    ours, others = versions("requirements-docs.txt"), versions("requirements.txt")
    assert {name: others.get(name, version) for name, version in ours.items()} == ours
