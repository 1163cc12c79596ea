"""PyBullet is imported by its engine alone, so everything else works where it is not installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = "wm_mpc/sim/engines/bullet.py"
PACKAGES = {"pybullet", "pybullet_data", "pybullet_utils"}
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def without(packages, program, *arguments):
    """Run a program in which some packages cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(packages=packages) + program, *map(str, arguments)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_only_its_engine_imports_pybullet():
    sources = [*(ROOT / "wm_mpc").rglob("*.py"), *(ROOT / "docs" / "examples").glob("*.py")]
    importing = [str(p.relative_to(ROOT)) for p in sources if PACKAGES & set(imported(p))]
    assert importing == [ENGINE]


def test_tasks_are_described_without_pybullet():
    program = "from wm_mpc.sim.tasks import make_task; print(make_task('push_t').spec.action.names)"
    done = without(PACKAGES, program)
    assert done.stdout == "('vx', 'vy')\n", done.stderr


HELP = """
import contextlib, importlib
for name in {names}:
    with contextlib.suppress(SystemExit):
        importlib.import_module(f"wm_mpc.cli.{{name}}").main(["--help"])
"""


@pytest.mark.slow
def test_commands_explain_themselves_without_pybullet():
    names = ["train", "evaluate", "benchmark", "import_bag", "collect"]
    done = without(PACKAGES, HELP.format(names=names))
    said = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("usage: ")]
    assert said == names, done.stderr


def test_collection_without_pybullet_names_what_is_missing(tmp_path):
    program = "import sys; from wm_mpc.cli.collect import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--task", "wall", "--episodes", 1, "--steps", 5, "--workers", 1]
    done = without(PACKAGES, program, *arguments, "--dataset", tmp_path / "data")
    assert done.returncode == 1
    assert "task 'wall' is simulated by PyBullet, but the module pybullet is not installed: pip " \
        "install pybullet" in done.stderr  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("simulated", [True, False])
def test_training_from_a_recording_needs_no_pybullet(recording, tmp_path, simulated):
    """Of a recording of a simulation it says that gradients were not compared with it."""
    from wm_mpc.data.episodes import Dataset

    recorded = recording.dataset
    dataset = Dataset.create(tmp_path / "data", recorded.spec, recorded.provenance)
    for index in recorded.indices():
        episode = recorded.read(index)
        if not simulated:
            episode.simulator_states = episode.layout = None
        dataset.append(index, episode)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "{horizon: 2, representation_updates: 2, representation_batch: 2, embedding_updates: 1, "
        "proposals_updates: 1, dynamics_updates: 2, dynamics_batch: 4, validation: 0.3, "
        "threads: 1, synthesis: [adversarial], "
        "architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 32}}"
    )
    program = "import sys; from wm_mpc.cli.train import main; sys.exit(main(sys.argv[1:]))"
    done = without(
        PACKAGES, program, "--dataset", dataset.path, "--config", settings,
        "--run", tmp_path / "run", "--workers", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "wall.safetensors").is_file()
    said = "gradients and plans were not compared with the simulator: task 'wall' is simulated by"
    assert (said in done.stderr) is simulated
