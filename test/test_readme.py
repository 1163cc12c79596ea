"""The README says what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros  # the table is made with the nodes' helpers
ROOT = Path(__file__).parents[1]


def test_parameter_table_is_the_one_of_the_code():
    path = ROOT / "tools" / "update_readme.py"
    spec = importlib.util.spec_from_file_location("update_readme", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.updated(text) == text, "run: python tools/update_readme.py"


def test_files_the_readme_points_to_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), f"README.md links to {target}"
