"""The robot that the scene draws: the Panda of the arm tasks, against PyBullet."""

from __future__ import annotations

import numpy as np
import pybullet as p
import pytest

from wm_mpc.nodes.viewer.robot import Robot
from wm_mpc.sim.panda import robot_description
from wm_mpc.view.visuals import VisualsError

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def robot():
    return Robot(robot_description())


def places(robot, positions):
    """Where each link is in the frame of the root."""
    local = {link: (parent, place, axes) for link, parent, place, axes in robot.tree()}
    for link, place, axes in robot.moving(positions):
        local[link] = local[link][0], place, axes
    found = {}
    for link, (parent, place, axes) in local.items():
        above, turned = found.get(parent, (np.zeros(3), np.eye(3)))
        found[link] = above + turned @ place, turned @ axes
    return found


def test_every_link_of_the_panda_with_a_shape_is_drawn(robot):
    assert robot.complaints == ()
    drawn = {mesh[0] for mesh in robot.meshes}
    assert drawn >= {f"panda_link{number}" for number in range(8)}
    assert sum(len(mesh[2]) for mesh in robot.meshes) < 20_000  # faces that a page can bear


def test_links_are_where_the_simulator_has_them(robot, tmp_path):
    file = tmp_path / "panda.urdf"
    file.write_text(robot_description())
    world = p.connect(p.DIRECT)
    try:
        body = p.loadURDF(str(file), useFixedBase=True, physicsClientId=world)
        rng = np.random.default_rng(3)
        positions, links = {}, {}
        for joint in range(p.getNumJoints(body, physicsClientId=world)):
            info = p.getJointInfo(body, joint, physicsClientId=world)
            links[info[12].decode()] = joint
            if info[2] != p.JOINT_FIXED:
                positions[info[1].decode()] = float(rng.uniform(info[8], info[9]))
                p.resetJointState(body, joint, positions[info[1].decode()], physicsClientId=world)
        found = places(robot, positions)
        for name, joint in links.items():
            state = p.getLinkState(
                body, joint, computeForwardKinematics=True, physicsClientId=world
            )
            np.testing.assert_allclose(found[name][0], state[4], atol=1e-5)
    finally:
        p.disconnect(world)


def test_parents_come_before_their_children(robot):
    seen = {""}
    for link, parent, _, _ in robot.tree():
        assert parent in seen
        seen.add(link)


def test_a_joint_of_a_strange_kind_is_refused():
    description = (
        '<robot name="r"><link name="a"/><link name="b"/><joint name="j" type="ball">'
        '<parent link="a"/><child link="b"/></joint></robot>'
    )
    with pytest.raises(VisualsError, match="joint 'j' is of kind 'ball'; accepted: fixed"):
        Robot(description)


def test_a_mesh_that_cannot_be_read_is_named(tmp_path):
    file = tmp_path / "broken.stl"
    file.write_text("no mesh")
    description = (
        f'<robot name="r"><link name="a"><visual><geometry><mesh filename="file://{file}"/>'
        "</geometry></visual></link></robot>"
    )
    (said,) = Robot(description).complaints
    assert "a is not drawn" in said
    assert "broken.stl" in said
