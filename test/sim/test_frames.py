"""Frames of the simulated robots, against PyBullet's own kinematics."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from wm_mpc.sim.engines import simulate
from wm_mpc.sim.film_picture import project
from wm_mpc.sim.frames import (
    base_transform,
    description_of,
    frames_of,
    link_transforms,
    read_joints,
    root_of,
    world_frames,
)
from wm_mpc.sim.tasks import make_task

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("push_t", "reach", "reach_joints")
BULLET = (*ARMS, "maze", "wall")


@pytest.fixture(params=BULLET)
def simulation(request):
    with simulate(make_task(request.param)) as simulation:
        simulation.reset(np.random.default_rng(5))
        yield simulation


@pytest.fixture(params=ARMS)
def arm(request):
    with simulate(make_task(request.param)) as simulation:
        simulation.reset(np.random.default_rng(3))
        yield simulation


def in_world(transforms, name):
    """Place and axes of a frame in the world."""
    by_child = {each.child: each for each in transforms}
    place, axes = np.zeros(3), np.eye(3)
    while name in by_child:
        step = by_child[name]
        place, axes = step.position + step.axes @ place, step.axes @ axes
        name = step.parent
    assert name == "world"
    return place, axes


def all_transforms(simulation):
    frames = frames_of(simulation)
    return [*frames.still, *frames.moving(simulation)]


def test_frames_form_one_tree_below_the_world(simulation):
    frames, transforms = frames_of(simulation), all_transforms(simulation)
    children = [each.child for each in transforms]
    assert len(set(children)) == len(children), "a frame with two parents"
    assert {"world", *children} == set(frames.names)
    for name in frames.names:
        in_world(transforms, name)


def test_axes_are_rotations(simulation):
    for each in all_transforms(simulation):
        np.testing.assert_allclose(each.axes @ each.axes.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(each.axes) == pytest.approx(1.0)


def test_links_are_where_the_simulator_has_them(arm):
    client, body = arm.client, arm.task._arm.body
    transforms = all_transforms(arm)
    for index in range(client.getNumJoints(body)):
        name = client.getJointInfo(body, index)[12].decode()
        state = client.getLinkState(body, index, computeForwardKinematics=True)
        place, axes = in_world(transforms, name)
        np.testing.assert_allclose(place, state[4], atol=1e-5, err_msg=name)
        matrix = np.reshape(client.getMatrixFromQuaternion(state[5]), (3, 3))
        np.testing.assert_allclose(axes, matrix, atol=1e-5, err_msg=name)


def test_tool_frame_is_the_tip(arm):
    place, _ = in_world(all_transforms(arm), "stick")
    np.testing.assert_allclose(place, arm.task._arm.tip(), atol=1e-5)


def test_what_the_camera_looks_at_lies_on_its_forward_axis(simulation):
    view = simulation.task.view
    place, axes = in_world(all_transforms(simulation), "camera")
    target = axes.T @ (np.array(view.target) - place)
    np.testing.assert_allclose(target[:2], 0.0, atol=1e-9)
    assert target[2] > 0.0


def test_right_and_down_in_the_camera_frame_are_right_and_down_in_the_image(simulation):
    view = simulation.task.view
    _, axes = in_world(all_transforms(simulation), "camera")
    target = np.array(view.target)
    centre, right, down = project(
        np.stack([target, target + 0.1 * axes[:, 0], target + 0.1 * axes[:, 1]]), view, 100
    )
    assert right[0] > centre[0] + 1
    assert right[1] == pytest.approx(centre[1], abs=1e-6)
    assert down[1] > centre[1] + 1


def test_base_is_where_its_pose_says():
    moved = base_transform({"x": 1.0, "y": -2.0, "yaw": np.pi / 2})
    assert (moved.parent, moved.child) == ("odom", "base_link")
    np.testing.assert_allclose(moved.position, [1.0, -2.0, 0.0])
    np.testing.assert_allclose(moved.axes @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12)


SLIDER = """<robot name="slider">
  <link name="rail"/><link name="cart"/><link name="plate"/>
  <joint name="slide" type="prismatic"><parent link="rail"/><child link="cart"/>
    <origin xyz="0 0 1" rpy="0 0 1.5707963"/><axis xyz="2 0 0"/></joint>
  <joint name="top" type="fixed"><parent link="cart"/><child link="plate"/></joint>
</robot>"""


def test_prismatic_joint_moves_along_its_axis():
    joints = read_joints(SLIDER)
    assert root_of(joints) == "rail"
    (moved,) = link_transforms(joints, {"slide": 0.5})
    np.testing.assert_allclose(moved.position, [0.0, 0.5, 1.0], atol=1e-6)


def test_joint_without_a_position_is_an_error():
    with pytest.raises(KeyError, match="slide"):
        link_transforms(read_joints(SLIDER), {})


def test_unknown_kind_of_joint_is_named():
    with pytest.raises(ValueError, match=r"'slide'.*'planar'.*accepted: fixed, revolute"):
        read_joints(SLIDER.replace("prismatic", "planar"))


def test_meshes_of_the_description_exist(arm):
    meshes = list(ElementTree.fromstring(description_of(arm.task)).iter("mesh"))
    assert len(meshes) >= 8
    for mesh in meshes:
        address = urlparse(mesh.get("filename"))
        assert address.scheme == "file"
        assert Path(unquote(address.path)).is_file(), mesh.get("filename")


def test_joints_of_the_description_are_those_of_joint_states(arm):
    joints = read_joints(description_of(arm.task))
    moving = {joint.name for joint in joints if not joint.is_fixed}
    assert moving == set(arm.joints())


def test_plan_markers_are_in_a_frame_that_the_simulation_has(simulation):
    """The parameter file that the launch file gives to mpc, or its default."""
    task = simulation.task.spec.task
    path = ROOT / "config" / f"{task}.yaml"
    parameters = yaml.safe_load(path.read_text()) if path.is_file() else {}
    frame = parameters.get("/**/mpc", {}).get("ros__parameters", {}).get("frame_id", "odom")
    frames = frames_of(simulation)
    assert frame == frames.root
    assert frame in frames.names
    assert frame in world_frames(frames.root)
