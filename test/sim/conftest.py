"""Whether MuJoCo can draw on this machine: it needs EGL, with or without a graphics card."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import os
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.render()
"""


@pytest.fixture(scope="session")
def mujoco_draws():
    """Skips, with the reason, where MuJoCo is missing or cannot draw."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        pytest.skip(f"MuJoCo cannot draw here (the extra `worlds`, and EGL): {last}")
