"""Each example, added to a copy of the package as its page says, works in that many files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from docs_site.pages import code_blocks

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"one": 1, "two": 2, "three": 3}
PAGES = ("environment", "output", "parameter", "phase", "planner", "synthesis", "task")

PLANNER = """
import torch
from wm_mpc.planning.registry import PlannerConfig, make_planner
planner = make_planner(PlannerConfig(type="random_shooting", samples=256, iterations=20))
cost = lambda actions: (actions - 0.5).square().sum((1, 2))
plan = planner.plan(cost, torch.zeros(1, 2, 2), budget=9.0, generator=torch.Generator())
assert plan.cost < 0.3, plan.cost
"""
# What `make test` runs in step 4 of the page, as far as it is about the new planner.
PLANNER_TESTS = """
import pytest
class Passed:
    names = set()
    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.names.add(report.nodeid.split("::")[-1].split("[")[0])
options = ["-q", "-k", "random_shooting", "-p", "no:cacheprovider"]
assert pytest.main([*options, "test/planning/test_planners.py"], plugins=[Passed()]) == 0
wanted = {
    "test_known_optimum_is_found_on_the_limits", "test_plan_never_leaves_limits",
    "test_budget_ends_the_search_with_the_best_plan_so_far", "test_same_seed_gives_the_same_plan",
}
assert wanted <= Passed.names, Passed.names
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
PHASE = """
import dataclasses
import sys
from pathlib import Path
import torch
from docs_site import sources
from wm_mpc.data.episodes import Dataset, Recording
from wm_mpc.model.architecture import Architecture
from wm_mpc.sim.collection import collect
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import LocalWorkers
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.trainer import Trainer
folder = Path(sys.argv[1])
dataset = Dataset.create(folder / "data", make_task("wall").spec)
collect(dataset, episodes=3, steps=40, seed=0, workers=LocalWorkers())
settings = {
    "horizon": 2, "representation_updates": 2, "representation_batch": 2, "embedding_updates": 1,
    "proposals_updates": 1, "dynamics_updates": 2, "dynamics_batch": 4, "validation": 0.3,
    "threads": 1, "checkpoint_interval": 1e-9, "sharpen": {"updates": 41, "batch": 4},
    "random": {"count": 4, "steps": 2},
    "architecture": {
        "keypoints": 4, "encoder_width": 4, "decoder_width": 4, "hidden": 32
    },
}
class Interruption(Exception): pass
def interrupt(stage, done, total, values):
    if (stage, done) == ("sharpen", 21): raise Interruption
def train(run, progress=lambda *_: None):
    trainer = Trainer(
        Recording(dataset), TrainConfig.from_dict(settings), folder / run, progress=progress
    )
    trainer.run()
    return trainer
whole = train("whole")
terms = [row["difference"] for row in whole.history if "difference" in row]
assert terms[-1] < 0.9 * terms[0], terms
assert whole.provenance()["updates"]["sharpen"] == 41
try:
    train("cut", interrupt)
    raise AssertionError("not interrupted")
except Interruption:
    pass
again = train("cut")
for name, weight in whole.model.state_dict().items():
    assert torch.equal(again.model.state_dict()[name], weight), name
plain = dataclasses.replace(TrainConfig.from_dict(settings), sharpen=TrainConfig().sharpen)
assert plain.representation_settings() != TrainConfig.from_dict(settings).representation_settings()
assert "| `sharpen.batch` | `32` |" in sources.phases()
"""
PARAMETER = """
import sys
import rclpy
from rclpy.parameter import Parameter
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros.parameters import declare
rclpy.init(domain_id=int(sys.argv[1]))
node = rclpy.create_node("mpc", start_parameter_services=False)
parameters = declare(node, MpcSettings)
assert parameters.values().patience == 5.0
described = node.describe_parameter("patience")
assert described.description == (
    "Time without a goal after which the status warns; 0: never [s]"
), described.description
(accepted,) = described.floating_point_range
assert (accepted.from_value, accepted.to_value) == (0.0, 600.0)
(result,) = node.set_parameters([Parameter("patience", value=601.0)])
assert not result.successful
assert "patience out of range Min: 0.0, Max: 600.0" in result.reason, result.reason
(result,) = node.set_parameters([Parameter("patience", value=0)])
assert result.successful and parameters.values().patience == 0.0
node.destroy_node()
rclpy.shutdown()
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
    above = re.search(r"add an entry above `(\w+)` to", text)  # or else the first
    place = after.index(f'    "{above[1]}": ') if above else 0
    entries = f"{after[:place]}    {entry}\n{after[place:]}"
    changed = f"{before}{statement}\n\n{found}{entries}"
    registry.write_text(changed, encoding="utf-8")
    return path


def add_field(text, root):
    """Add a field to a dataclass as a page says; the path."""
    path, kind = re.search(r"In `([^`]+)`,\s+add a field to `(\w+)`:", text).groups()
    before, found, after = re.split(
        rf'^(class {kind}\b.*?"""\n\n)',
        (root / path).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL,
    )  # fmt: skip
    (_, field), *_ = code_blocks(text, "python")
    indented = textwrap.indent(field, "    ")
    (root / path).write_text(f"{before}{found}{indented}\n{after}", encoding="utf-8")
    return path


def add_launch_argument(text, root):
    """Add a launch argument as a page says; the path."""
    path, table = re.search(r"In `(launch/[^`]+)`,\s+add an entry to `(\w+)`:", text).groups()
    _, (_, entry) = code_blocks(text, "python")
    before, found, after = re.split(
        rf"^({table} = \(\n)", (root / path).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    (root / path).write_text(f"{before}{found}    {entry},\n{after}", encoding="utf-8")
    return path


def add(name, root):
    """Follow a page in a copy of the package; paths of the files that it touches."""
    text = page(name)
    touched = [add_field(text, root) if name == "parameter" else register(text, root)]
    for path, example in new_files(text).items():
        assert not (root / path).exists(), path
        shutil.copy(ROOT / "docs" / "examples" / example, root / path)
        touched.append(path)
    return touched


@pytest.fixture(scope="module")
def copy_with(tmp_path_factory):
    """Makes a copy of the package with the examples of pages; its folder."""

    def make(*names):
        root = tmp_path_factory.mktemp(names[0])
        for folder in ("wm_mpc", "config"):  # with what Python has compiled
            shutil.copytree(ROOT / folder, root / folder)
        for name in names:
            add(name, root)
        return root

    return make


def environment(root):
    path = os.pathsep.join([str(root), str(ROOT / "tools"), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path}


def python(program, root, *arguments):
    subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=root, env=environment(root), check=True, timeout=280,
    )  # fmt: skip


def promised(name):
    """How many files a page says one touches, and how many CONTRIBUTING.md says."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = re.search(
        rf"^\| \[[^|]*\]\(docs/extend/{name}\.md\) \| (\w+):", contributing, re.MULTILINE
    )
    said = re.search(r"^You touch (\w+) files?", page(name), re.MULTILINE)
    return NUMBERS[said[1]], NUMBERS[row[1]]


@pytest.mark.parametrize("name", PAGES)
def test_page_and_contributing_promise_the_number_of_files_that_the_example_touches(name, tmp_path):
    shutil.copytree(ROOT / "wm_mpc", tmp_path / "wm_mpc")
    (tmp_path / "config").mkdir()
    touched = add(name, tmp_path)
    assert promised(name) == (len(touched), len(touched))


@pytest.mark.slow
def test_planner_passes_its_tests_and_task_is_recorded_and_synthesis_method_trains_once_added(
    copy_with, tmp_path
):
    """All three in one copy and one program: its start takes longer than what it does."""
    root = copy_with("planner", "task", "synthesis")
    shutil.copytree(ROOT / "test" / "planning", root / "test" / "planning")
    python(PLANNER + TASK + SYNTHESIS + PLANNER_TESTS, root, tmp_path)


@pytest.fixture(scope="module")
def disc(copy_with, tmp_path_factory):
    """A copy of the package with the page's environment, and where the commands of the page put
    what they made."""
    pytest.importorskip("gymnasium")
    root = copy_with("environment")
    shutil.copy(ROOT / "docs" / "examples" / "disc_environment.py", root)
    folder = tmp_path_factory.mktemp("disc")
    python(ENVIRONMENT, root, folder)
    return root, folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_environment_that_was_added_is_recorded_learned_and_evaluated(disc):
    _, folder = disc
    provenance = json.loads((folder / "run" / "metrics.json").read_text())
    assert provenance["synthesis"] == ["random", "online", "adversarial"]


@pytest.mark.slow
@pytest.mark.timeout(300)
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_phase_that_was_added_trains_the_decoder_and_resumes(copy_with, tmp_path):
    root = copy_with("phase")
    python(PHASE, root, tmp_path)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of all that update_docs reads and writes, and a function that says which files differ
    from ours."""
    root = tmp_path_factory.mktemp("repository")
    folders = ("wm_mpc", "config", "docs", "launch", "tools")
    for folder in folders:
        unneeded = shutil.ignore_patterns("measured")
        shutil.copytree(ROOT / folder, root / folder, ignore=unneeded)
    for file in ("README.md", "setup.py"):
        shutil.copy(ROOT / file, root / file)
    for folder in ("results", "checkpoints"):
        (root / folder).symlink_to(ROOT / folder)

    def changed():
        files = [path.relative_to(root) for f in folders for path in (root / f).rglob("*.*")]
        names = {
            str(path) for path in files
            if path.suffix != ".pyc" and (root / path).is_file()
            and (ROOT / path).read_bytes() != (root / path).read_bytes()
        }  # fmt: skip
        return sorted(names)

    return root, changed


def update_docs(root):
    command = [sys.executable, "tools/update_docs.py"]
    subprocess.run(command, cwd=root, env=environment(root), check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.ros
def test_parameter_that_was_added_is_declared_documented_and_a_launch_argument(
    repository, domain_id
):
    """With a field, what update_docs makes, and a line for the launch argument: no other file."""
    pytest.importorskip("rclpy")
    root, changed = repository
    text = page("parameter")
    settings = add_field(text, root)
    update_docs(root)
    made = ["docs/reference/parameters.md", "wm_mpc/ros/parameters.json"]
    assert changed() == sorted([settings, *made])
    python(PARAMETER, root, domain_id)

    launch = add_launch_argument(text, root)
    update_docs(root)
    assert changed() == sorted([settings, *made, launch, "docs/reference/launch.md"])
    sentence = "Time without a goal after which the status warns; 0: never"
    row = f"| `patience` | `5.0` | 0 to 600 s | {sentence} | at any time |"
    assert row in (root / made[0]).read_text(encoding="utf-8")
    row = f"| `patience` | `5.0` | {sentence} (s). |"
    assert row in (root / "docs/reference/launch.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.ros
def test_output_that_was_added_is_sent_by_the_node(copy_with, observer):
    pytest.importorskip("rclpy")
    from sensor_msgs.msg import JointState
    from std_srvs.srv import SetBool

    from wm_mpc.ros import qos

    root = copy_with("output")
    python(LAUNCH, root, ROOT / "tools")
    heard = observer.listen(JointState, "joint_command", qos.COMMAND)
    with node(root, observer.domain_id, "output.joint_command:=true", "planner.backend:=torch"):
        observer.wait_until(lambda: observer.node.count_publishers("joint_command"), "it", 60.0)
        assert observer.call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
        observer.wait_until(lambda: heard, "a hold")
    assert list(heard[0].name) == ["vx", "vy"]
    assert list(heard[0].velocity) == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.ros
def test_setting_of_an_added_output_changes_while_it_is_sent(copy_with, observer):
    """With the lines of the page; the values at rest are 0, so the factor is sent as the frame."""
    pytest.importorskip("rclpy")
    from sensor_msgs.msg import JointState
    from std_srvs.srv import SetBool

    from wm_mpc.ros import qos

    root = copy_with("output")
    (lines,) = re.findall(r"```python\n(settings: ClassVar.*?)```", page("output"), re.DOTALL)
    path = root / "wm_mpc/nodes/mpc/outputs/joint_command.py"
    text = path.read_text(encoding="utf-8")
    text = text.replace("from typing import Any\n", "from typing import Any, ClassVar\n")
    text = text.replace(
        "from wm_mpc.spec", "from wm_mpc.settings.fields import setting\nfrom wm_mpc.spec"
    )
    text = text.replace(
        "    def __init__", textwrap.indent(lines, "    ") + "\n    def __init__", 1
    )
    text = text.replace(
        "        # The kind",
        "        message.header.frame_id = str(self._scale)\n        # The kind",
    )
    path.write_text(text, encoding="utf-8")
    heard = observer.listen(JointState, "joint_command", qos.COMMAND)
    given = ("output.joint_command:=true", "output.joint_command_scale:=0.5")
    with node(root, observer.domain_id, *given, "planner.backend:=torch"):
        observer.wait_until(lambda: observer.node.count_publishers("joint_command"), "it", 60.0)
        assert observer.call(SetBool, "mpc/hold", SetBool.Request(data=True)).success
        observer.wait_until(lambda: heard, "a hold")
        assert {message.header.frame_id for message in heard} == {"0.5"}
        assert observer.set("mpc", "output.joint_command_scale", 0.25).successful
        observer.wait_until(lambda: heard[-1].header.frame_id == "0.25", "the new factor")
        refused = observer.set("mpc", "output.joint_command_scale", 11.0)
        assert not refused.successful
        assert "output.joint_command_scale" in refused.reason


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
