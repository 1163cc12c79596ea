"""The pages, and the tools that make them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="session")
def pages():
    """Text of README.md and of each page of docs/, by path from the root."""
    from docs_site.pages import pages

    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages()}
