"""Ctrl-C ends a node in one line from its first seconds on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

# What takes long to import says so, and then waits as a slow disk would.
SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            print("importing", flush=True)
            time.sleep(30)
sys.meta_path.insert(0, Slow())
from wm_mpc.nodes.{node}.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("mpc", "wm_mpc.nodes.mpc.node"), ("mpc", "torch"), ("sim", "wm_mpc.control.following"),
        ("learner", "h5py"), ("viewer", "wm_mpc.nodes.viewer.node"),
    ],
)  # fmt: skip
def test_an_interruption_of_the_imports_is_one_line(node, module, domain_id):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(node=node, module=module)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"ROS_DOMAIN_ID": str(domain_id)},
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert said == f"{node}: interrupted before it had started\n"
    assert process.returncode == 0


def test_a_learner_that_trains_in_another_process_starts_without_torch():
    """Its import takes over a second; mode live imports it later."""
    program = (
        "import sys, wm_mpc.nodes.learner.node\n"
        "print({'torch', 'pybullet', 'matplotlib'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "none"
