"""Each example, added to a copy of the package as its page says, works in that many files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs_site.pages import code_blocks

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"two": 2, "three": 3}
PAGES = ("environment", "output", "planner", "synthesis", "task")

PLANNER = """
import torch
from wm_mpc.planning.registry import PlannerConfig, make_planner
planner = make_planner(PlannerConfig(type="random_shooting", samples=256, iterations=20))
cost = lambda actions: (actions - 0.5).square().sum((1, 2))
plan = planner.plan(cost, torch.zeros(1, 2, 2), budget=9.0, generator=torch.Generator())
assert plan.cost < 0.3, plan.cost
"""
TASK = """
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.collection import record_episode
from wm_mpc.sim.tasks import make_task
with simulate(make_task("field")) as simulation:
    assert record_episode(simulation, 0, 0, 10).images.shape == (11, 64, 64, 3)
"""
# The commands of the page, as small as they can be. Workers are processes of their own.
ENVIRONMENT = """
import json
import sys
from pathlib import Path
from wm_mpc.cli import collect, evaluate, train
folder = Path(sys.argv[1])
data, run, out = (str(folder / name) for name in ("data", "run", "out"))
(folder / "settings.yaml").write_text(
    "{horizon: 2, representation_updates: 2, representation_batch: 2, embedding_updates: 1, "
    "proposals_updates: 1, dynamics_updates: 2, dynamics_batch: 4, validation: 0.3, threads: 1, "
    "architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 32}, "
    "random: {count: 4, steps: 2}, online: {every: 1, plans: 2, horizon: 2, iterations: 1}}"
)
recorded = ["--task", "disc", "--episodes", "4", "--steps", "40", "--dataset", data]
assert collect.main([*recorded, "--workers", "2"]) == 0
trained = ["--task", "disc", "--dataset", data, "--run", run, "--workers", "2"]
methods = ["--synthesis", "random,online,adversarial"]
assert train.main([*trained, *methods, "--config", str(folder / "settings.yaml")]) == 0
scored = ["--checkpoint", run + "/disc.safetensors", "--episodes", "2", "--steps", "3"]
planners = ["--planners", "adam,true_simulator", "--set", "planner.backend=torch"]
assert evaluate.main([*scored, *planners, "--films", "1", "--out", out]) == 0
rows = (folder / "out" / "episodes.jsonl").read_text().splitlines()[1:]
assert len(rows) == 4, rows
assert {tuple(json.loads(row)["errors"]) for row in rows} == {("distance",)}
assert list((folder / "out" / "films").glob("*.gif"))
"""
SYNTHESIS = """
import sys
from pathlib import Path
from wm_mpc.cli.ablate import VARIANTS
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.sim.collection import collect
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import LocalWorkers
from wm_mpc.training.command import parser, settings
from wm_mpc.training.trainer import Trainer
folder = Path(sys.argv[1])
dataset = Dataset.create(folder / "data", make_task("wall").spec)
collect(dataset, episodes=3, steps=40, seed=0, workers=LocalWorkers())
(folder / "settings.yaml").write_text(
    "{horizon: 2, representation_updates: 2, representation_batch: 2, embedding_updates: 1, "
    "proposals_updates: 1, dynamics_updates: 2, dynamics_batch: 4, validation: 0.3, threads: 1, "
    "architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 32}, "
    "noise: {deviation: 0.1}}"
)
command = ["--task", "wall", "--config", str(folder / "settings.yaml"), "--synthesis"]
config = settings(parser().parse_args([*command, "noise"]))
assert config.method("noise").deviation == 0.1
assert VARIANTS["noise"] == ("noise",)
assert "noise" not in VARIANTS["all"], "a method that is not by default"
trainer = Trainer(Recording(dataset), config, folder / "run")
trainer.run()
assert trainer.history[-1]["noise"] > 0.0, trainer.history[-1]
"""
LAUNCH = """
import sys
sys.path.insert(0, sys.argv[1])
from docs_site import sources
assert '"output.joint_command": {"default": false' in sources.parameters_json()
assert "| `joint_command` | `sensor_msgs/JointState` |" in sources.outputs()
"""


def page(name):
    return (ROOT / "docs" / "extend" / f"{name}.md").read_text(encoding="utf-8")


def new_files(text):
    """Paths that a page names for its examples, and the examples."""
    pattern = r"(?:Save it as|This is) `([^`]+)`:\n\n<!-- made: example (\S+)"
    return dict(re.findall(pattern, text))


def register(text, root):
    """Do to a registry what a page says; its path."""
    (path, table) = re.search(
        r"In `([^`]+)`,\s+import the \w+\s+and\s+add .* to `(\w+)`:", text
    ).groups()
    registry = root / path
    _, _, rest = text.partition(f"`{table}`:")
    (_, statement), (_, entry), *_ = code_blocks(rest, "python")
    before, found, after = re.split(
        rf"^({table}: dict\[.*\] = \{{\n)", registry.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    changed = f"{before}{statement}\n\n{found}    {entry}\n{after}"
    registry.write_text(changed, encoding="utf-8")
    return path


def add(name, root):
    """Follow a page in a copy of the package; paths of the files that it touches."""
    text = page(name)
    touched = [register(text, root)]
    for path, example in new_files(text).items():
        assert not (root / path).exists(), path
        shutil.copy(ROOT / "docs" / "examples" / example, root / path)
        touched.append(path)
    return touched


@pytest.fixture(scope="module")
def copy_with(tmp_path_factory):
    """Makes a copy of the package with the example of a page; its folder and what was touched."""

    def make(name):
        root = tmp_path_factory.mktemp(name)
        unneeded = shutil.ignore_patterns("__pycache__")
        for folder in ("wm_mpc", "config"):
            shutil.copytree(ROOT / folder, root / folder, ignore=unneeded)
        return root, add(name, root)

    return make


def environment(root):
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path}


def python(program, root, *arguments):
    subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=root, env=environment(root), check=True, timeout=120,
    )  # fmt: skip


def promised(name):
    """How many files a page says one touches, and how many CONTRIBUTING.md says."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = re.search(
        rf"^\| \[[^|]*\]\(docs/extend/{name}\.md\) \| (\w+):", contributing, re.MULTILINE
    )
    said = re.search(r"^You touch (\w+) files", page(name), re.MULTILINE)
    return NUMBERS[said[1]], NUMBERS[row[1]]


@pytest.mark.parametrize("name", PAGES)
def test_page_and_contributing_promise_the_number_of_files_that_the_example_touches(name, tmp_path):
    shutil.copytree(ROOT / "wm_mpc", tmp_path / "wm_mpc")
    (tmp_path / "config").mkdir()
    touched = add(name, tmp_path)
    assert promised(name) == (len(touched), len(touched))


def test_planner_that_was_added_plans(copy_with):
    root, _ = copy_with("planner")
    python(PLANNER, root)


def test_task_that_was_added_is_recorded(copy_with):
    root, _ = copy_with("task")
    python(TASK, root)


def test_synthesis_method_that_was_added_trains_a_model(copy_with, tmp_path):
    root, _ = copy_with("synthesis")
    python(SYNTHESIS, root, tmp_path)


@pytest.fixture(scope="module")
def disc(copy_with, tmp_path_factory):
    """A copy of the package with the page's environment, and where the commands of the page put
    what they made."""
    pytest.importorskip("gymnasium")
    root, _ = copy_with("environment")
    shutil.copy(ROOT / "docs" / "examples" / "disc_environment.py", root)
    folder = tmp_path_factory.mktemp("disc")
    python(ENVIRONMENT, root, folder)
    return root, folder


def test_environment_that_was_added_is_recorded_learned_and_evaluated(disc):
    _, folder = disc
    provenance = json.loads((folder / "run" / "metrics.json").read_text())
    assert provenance["synthesis"] == ["random", "online", "adversarial"]


@pytest.mark.ros
def test_environment_that_was_added_runs_behind_topics(disc, domain_id):
    """In lockstep: every observation is answered by a plan."""
    pytest.importorskip("rclpy")
    root, folder = disc
    clocked = ("lockstep:=true", "use_sim_time:=true", "planner.backend:=torch")
    checkpoint = f"checkpoint:={folder / 'run' / 'disc.safetensors'}"
    with node(root, domain_id, checkpoint, *clocked):
        given = ("task:=disc", "episodes:=2", "episode_steps:=5", "lockstep:=true")
        words = [word for parameter in given for word in ("-p", parameter)]
        done = subprocess.run(
            [sys.executable, "-m", "wm_mpc.nodes.sim", "--ros-args", *words],
            cwd=root, env=environment(root) | {"ROS_DOMAIN_ID": str(domain_id)},
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.match(r"episodes 2  success \d  mean steps \S+  mean plan \S+", done.stdout)


@pytest.mark.ros
def test_output_that_was_added_is_sent_by_the_node(copy_with, observer):
    pytest.importorskip("rclpy")
    from sensor_msgs.msg import JointState
    from std_srvs.srv import SetBool

    from wm_mpc.ros import qos

    root, _ = copy_with("output")
    python(LAUNCH, root, ROOT / "tools")
    heard = observer.listen(JointState, "joint_command", qos.COMMAND)
    with node(root, observer.domain_id, "output.joint_command:=true", "planner.backend:=torch"):
        observer.wait_until(lambda: observer.node.count_publishers("joint_command"), "it", 60.0)
        assert observer.call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
        observer.wait_until(lambda: heard, "a hold")
    assert list(heard[0].name) == ["vx", "vy"]
    assert list(heard[0].velocity) == [0.0, 0.0]


@contextlib.contextmanager
def node(root, domain_id, *parameters):
    given = [word for parameter in parameters for word in ("-p", parameter)]
    process = subprocess.Popen(
        [sys.executable, "-m", "wm_mpc.nodes.mpc", "--ros-args", *given],
        cwd=root,
        env=environment(root) | {"ROS_DOMAIN_ID": str(domain_id)},
    )
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
