"""Markdown of our reports as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wm_mpc.reports.markdown import cells, inline, to_html

OURS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "li", "code", "strong", "div", "table",
        "thead", "tbody", "tr", "th", "td", "button"}  # fmt: skip


class Elements(HTMLParser):
    """Tags of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_blocks_become_their_elements():
    text = (
        "# Title\n\nA `b < c` and **d**.\n- one\n- two\n\n## Next\n"
        "| n | holds |\n|---|---|\n| 1 | yes |"
    )
    assert re.sub(r' (class|scope|aria-\w+|type|tabindex|role)="[^"]*"', "", to_html(text)) == (
        "<h1>Title</h1>\n<p>A <code>b &lt; c</code> and <strong>d</strong>.</p>\n"
        "<ul><li>one</li><li>two</li></ul>\n<h2>Next</h2>\n"
        "<div><table><thead><tr><th><button>n</button></th><th><button>holds</button></th></tr>"
        "</thead>\n<tbody>\n<tr><td>1</td><td>yes</td></tr>\n</tbody></table></div>"
    )


@given(st.text(alphabet=st.sampled_from("ab<>&\"'`*|#- \n/="), max_size=80) | st.text(max_size=80))
def test_no_text_of_a_report_becomes_html(text):
    found = Elements(to_html(text))
    assert set(found.tags) <= OURS
    assert found.open == [], "every element ends"


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b", "</table>"]
)
def test_a_name_in_a_cell_stays_text(name):
    found = Elements(to_html(f"| name |\n|---|\n| {name} |"))
    assert name in found.text
    assert not {"script", "img"} & set(found.tags)


def test_bar_in_a_cell_is_kept():
    assert cells(r"| a \| b | c |") == ["a | b", "c"]


@pytest.mark.parametrize(
    ("text", "look"), [("yes", "good"), ("**no**", "bad"), ("3.5 ms", "number")]
)
def test_verdicts_and_numbers_have_their_look(text, look):
    assert f'<td class="{look}">' in to_html(f"| x |\n|---|\n| {text} |")


def test_sentence_that_begins_with_a_number_may_break_into_lines():
    sentence = "40 plans, 0 holds; planning, degraded: state from another moment"
    assert '<td class="long">' in to_html(f"| x |\n|---|\n| {sentence} |")


def test_stars_in_code_are_no_bold():
    assert inline("`a ** b ** c`") == "<code>a ** b ** c</code>"
