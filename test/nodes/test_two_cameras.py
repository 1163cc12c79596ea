"""The node `mpc` of a robot with two cameras pairs their pictures, and names the one that fails."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.codes import HoldCode, StatusCode
from wm_mpc.messages.errors import MessageError
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.checkpoint import save_checkpoint
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc.node import Mpc
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image, state_to_joint_states
from wm_mpc.ros.status import mpc_statuses
from wm_mpc.ros.timing import to_stamp
from wm_mpc.sim.engine import episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.spec import CameraSpec, ImageSpec

from .running import RunningNode
from .test_inputs import MS, T0, Listener, robot

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[2]
IMAGE = ImageSpec.of(CameraSpec("front", 16, 16), CameraSpec("side", 16, 20))


class Pair(Listener):
    """Inputs of an arm with two cameras. Times are ms."""

    def come(self, camera, at, latency=0.0, *, size=None, level=100):
        self.now = at + latency
        shape = size or (IMAGE.cameras[camera].height, IMAGE.cameras[camera].width)
        pixels = np.full((*shape, 3), level, np.uint8)
        message = rgb_to_image(pixels, to_stamp(T0 + round(at * MS)))
        self.inputs._store_image(message, {}, camera=camera)

    def both(self, at):
        self.come(0, at, level=50)
        self.come(1, at, level=150)

    def found(self, timeout=0.5):
        return self.inputs.why_unusable(
            self.inputs.snapshot(wait_for_state=0.0), timeout, lockstep=True
        )

    def picture(self):
        return self.inputs.image_array(self.inputs.snapshot(wait_for_state=0.0).image.message)


@pytest.fixture
def arm(observer):
    spec = dataclasses.replace(robot(states=()), image=IMAGE)
    with contextlib.closing(Pair(observer, spec)) as pair:
        yield pair


def test_the_pictures_of_one_moment_become_one_joined_picture(arm):
    arm.both(0)
    assert arm.found().hold == ""
    assert arm.picture().shape == (16, 36, 3)
    assert set(arm.picture()[:, :16].ravel()) == {50}
    assert set(arm.picture()[:, 16:].ravel()) == {150}
    assert arm.inputs.image_number == 1


def test_larger_pictures_are_scaled_for_each_camera(arm):
    arm.come(0, 0, size=(48, 64), level=50)
    arm.come(1, 0, size=(32, 40), level=150)
    assert set(arm.picture()[:, :16].ravel()) == {50}
    assert set(arm.picture()[:, 16:].ravel()) == {150}


def test_a_camera_whose_pictures_are_too_small_is_named(arm):
    arm.come(0, 0)
    arm.come(1, 0, size=(8, 8))
    with pytest.raises(MessageError, match="camera 'side': image is 8x8"):
        arm.picture()


def test_cameras_listen_below_the_namespace_and_are_named_with_their_topics(arm):
    arm.come(0, 0)
    found = arm.found()
    assert found.code is HoldCode.NO_IMAGE
    assert found.hold == "no image received yet from camera 'side' on /left/side/image_raw"
    arm.come(1, 0)
    assert arm.found().hold == ""


def test_a_silent_camera_is_named_though_the_other_goes_on(arm):
    for at in range(0, 400, 100):
        arm.both(at)
    for at in range(400, 1000, 100):
        arm.come(0, at)
    found = arm.found()
    assert found.code is HoldCode.STALE_IMAGE
    assert "camera 'side' on /left/side/image_raw" in found.hold


def test_the_age_of_each_camera_is_told(arm):
    arm.come(0, 0, latency=5)
    arm.come(1, 0, latency=20)
    values = arm.inputs.values()
    assert values["image age on arrival of front (ms)"] == "5.0"
    assert values["image age on arrival of side (ms)"] == "20.0"


def test_stamps_in_the_future_name_their_camera(arm):
    arm.come(0, 0)
    arm.come(1, 40, latency=-40)
    arm.come(0, 400)
    arm.come(1, 1000, latency=-600)
    found = arm.found()
    assert found.code is HoldCode.FUTURE_IMAGE
    assert "camera 'side'" in found.hold


def test_the_picture_of_one_camera_is_no_goal_for_two(arm):
    single = rgb_to_image(np.zeros((480, 640, 3), np.uint8), to_stamp(T0))
    with pytest.raises(MessageError, match=r"front, side.*16x36"):
        arm.inputs.check_goal(single, None)
    arm.inputs.check_goal(rgb_to_image(np.zeros((16, 36, 3), np.uint8), to_stamp(T0)), None)


class LiveArm(RunningNode):
    """The node `mpc` of `reach_two`. A thread publishes what its cameras
    see; `late` (ms) is how much older the pictures of a camera are, None: it is silent. The lens of
    a camera in `covered` lets no light through."""

    def __init__(self, observer, checkpoint, *, guards_pictures=False):
        create = observer.node.create_publisher
        self.late = {"front": 0, "side": 0}
        self.covered = set()
        self.task = make_task("reach_two")
        self._cameras = [
            create(Image, camera.topic, qos.SENSOR_DATA) for camera in self.task.spec.images
        ]
        self._states = create(JointState, "joint_states", qos.ROBOT_STATE)
        self._goal = create(Image, "goal/image", qos.LATCHED)
        self.plans = observer.listen(JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS)
        self._told = observer.listen(DiagnosticArray, "diagnostics", qos.STATUS)
        with simulate(self.task) as simulation:
            self._seen = simulation.reset(episode_rng(3, "node", 0))
            self._wanted = simulation.goal.observation.image
        # The robot stands still, so what its actions do is no matter here.
        off = {f"surprise.{name}": 0.0 for name in ("slow", "hold", "image")}
        if guards_pictures:
            del off["surprise.image"]
        super().__init__(
            observer, Mpc, Mpc.work, {"checkpoint": str(checkpoint), "rate": 10.0, **off}
        )
        self._ends = threading.Event()
        self._publishing = threading.Thread(target=self._publish, daemon=True)
        self._publishing.start()
        self._goal.publish(rgb_to_image(self._wanted, to_stamp(self._now())))

    def _now(self):
        return self.observer.node.get_clock().now().nanoseconds

    def _publish(self):
        spec = self.task.spec
        while not self._ends.wait(0.1):
            now = self._now()
            self._states.publish(state_to_joint_states(self._seen.state, spec.state, to_stamp(now)))
            for tile, camera in zip(spec.image.tiles, self._cameras, strict=True):
                late = self.late[tile.name]
                if late is not None:
                    picture = np.ascontiguousarray(tile.of(self._seen.image))
                    if tile.name in self.covered:
                        picture = np.full_like(picture, 8)
                    camera.publish(rgb_to_image(picture, to_stamp(now - late * MS)))

    def status(self):
        found = [each for array in self._told[-1:] for each in mpc_statuses(array)]
        return found[-1] if found else None

    def says(self, code, *words):
        """Wait until the status has a code, and its sentence these words."""

        def is_said():
            status = self.status()
            return status and status.code == code and all(w in status.sentence for w in words)

        self.wait_until(is_said, f"{code} with {words}; the last: {self.status()}")

    def _clean_up(self):
        self._ends.set()
        self._publishing.join(timeout=2.0)


@pytest.fixture
def untrained(tmp_path):
    torch.manual_seed(0)
    model = WorldModel(make_task("reach_two").spec, Architecture(keypoints=2, proposals=0))
    usual = (1.0, 1.0)
    model.familiarity = Familiarity(1.0, 1.0, 1.0, 500, camera_images=usual)
    save_checkpoint(model, tmp_path / "untrained.safetensors", {})
    return tmp_path / "untrained.safetensors"


def test_a_running_controller_plans_with_both_cameras_and_holds_without_one(observer, untrained):
    with contextlib.closing(LiveArm(observer, untrained)) as arm:
        arm.says(StatusCode.PLANNING)
        arm.late["side"] = None
        arm.says(HoldCode.STALE_IMAGE, "camera 'side' on ", "/side/image_raw")
        arm.late["side"] = 0
        arm.says(StatusCode.PLANNING)
        arm.late["front"] = 700
        arm.says(HoldCode.STALE_IMAGE, "camera 'front' on ", "/camera/image_raw")


def test_a_covered_lens_holds_the_shipped_model_and_is_named(observer):
    shipped = ROOT / "checkpoints" / "reach_two.safetensors"
    with contextlib.closing(LiveArm(observer, shipped, guards_pictures=True)) as arm:
        arm.says(StatusCode.PLANNING)
        for camera in ("side", "front"):
            arm.covered = {camera}
            began = time.monotonic()
            arm.says(HoldCode.SURPRISE_IMAGE, f"camera '{camera}'")
            # observation_timeout 0.5 s and a period; the busy machine of the test has as much again
            assert time.monotonic() - began < 1.2
            arm.covered = set()
            arm.says(StatusCode.PLANNING)
