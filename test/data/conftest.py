"""Fixtures of the tests of recordings and datasets."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from typing import Any

import pytest


@pytest.fixture(scope="session")
def mcaps() -> Any:
    """The module `mcaps.py`, which writes MCAP files record by record."""
    path = pathlib.Path(__file__).parent / "mcaps.py"
    spec = importlib.util.spec_from_file_location("mcaps", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["mcaps"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
