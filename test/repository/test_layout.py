"""The layout table of CONTRIBUTING.md is what the code does: no import goes against it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "wm_mpc"
LONGEST = 350  # lines of a module
_ROW = re.compile(r"^\| (`[^|]+`) \| [^|]+ \| ([^|]+) \|$", re.M)
_NAME = re.compile(r"`([^`]+)`")
_IMPORTERS = {"import_module", "__import__", "reload", "find_spec"}


@functools.cache
def table() -> dict[str, frozenset[str]]:
    """What each place may import, by place. rclpy is one of the names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [(_NAME.findall(places), rights) for places, rights in _ROW.findall(text)]
    places = {place for names, _ in rows for place in names}
    allowed = {}
    for names, rights in rows:
        inside, _, outside = rights.partition(";")
        listed = set(_NAME.findall(inside))
        assert listed <= places, f"the table names places that it does not describe: {rights}"
        may = places - listed if inside.startswith("all but") else listed
        for name in names:
            allowed[name] = frozenset(may | set(_NAME.findall(outside)) | {name, *names})
    return allowed


def place_of(path: str, places: frozenset[str]) -> str:
    """The most particular place of a module, whose path is relative to the package."""
    parts = path.split("/")
    ways = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((way for way in ways if way in places), parts[0])


def imported(source: str, package: str) -> Iterator[str]:
    """Names of modules that a source imports, in functions too, and by strings. package: dotted, of
    the module, for relative imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if called in _IMPORTERS:
                yield from (text for text in texts if isinstance(text, str))


def forbidden(path: str, source: str, allowed: dict[str, frozenset[str]]) -> list[str]:
    """The imports of a module that the table does not allow. path: relative to the package."""
    places = frozenset(allowed)
    module = path.removesuffix(".py")
    place = place_of(module, places)
    package = ".".join(["wm_mpc", *module.split("/")[:-1]])
    if place not in allowed:
        return [] if module == "__init__" else [f"{path} is in no place of the table"]
    found = set()
    for name in imported(source, package):
        top, _, rest = name.partition(".")
        if top == "rclpy" and "rclpy" not in allowed[place]:
            found.add(f"{path} imports rclpy")
        elif top == "wm_mpc" and rest:
            other = place_of(rest.replace(".", "/"), places)
            if other in places and other not in allowed[place]:
                found.add(f"{path} imports {name}")
    return sorted(found)


def modules() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules())
def test_module_imports_what_the_table_allows(path):
    source = (PACKAGE / path).read_text(encoding="utf-8")
    assert forbidden(path, source, table()) == []


@pytest.mark.parametrize("path", modules())
def test_module_reads_in_one_sitting(path):
    assert len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_every_place_of_the_table_exists():
    missing = [
        p for p in table() if not any((PACKAGE / f"{p}{end}").exists() for end in ("", ".py"))
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("model/losses.py", "from wm_mpc.planning.objective import GoalCost"),
        ("model/losses.py", "from wm_mpc import planning"),
        ("model/losses.py", "def f():\n    import wm_mpc.planning.cem as c"),
        ("model/losses.py", "import importlib\nimportlib.import_module('wm_mpc.training.ema')"),
        ("model/losses.py", "__import__('wm_mpc.cli.train')"),
        ("model/losses.py", "from ..training import ema"),
        ("control/timeline.py", "import rclpy.node"),
        ("control/timeline.py", "from wm_mpc.sim.tasks import wall"),
        ("native/kernel.py", "from wm_mpc.planning.planner import Planner"),
        ("nodes/learner/node.py", "from wm_mpc.cli import train"),
        ("experiments/speed/node.py", "from wm_mpc.nodes import mpc"),
        ("cli/train.py", "from wm_mpc.ros.qos import LATCHED"),
        ("somewhere/new.py", "import math"),
    ],
)
def test_an_import_against_the_table_is_found(path, source):
    assert forbidden(path, source, table()) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("experiments/faults/rig.py", "import rclpy\nfrom wm_mpc.nodes import mpc"),
        ("nodes/mpc/node.py", "from wm_mpc.control import goals\nfrom . import mpc_goals"),
        ("training/finish.py", "from wm_mpc.provenance import code_version"),
        ("spec.py", "from wm_mpc.spec_parts import ActionSpec\nfrom wm_mpc.units import SECOND"),
    ],
)
def test_an_import_that_the_table_allows_passes(path, source):
    assert forbidden(path, source, table()) == []
