"""What the links of a robot description look like."""

from __future__ import annotations

import numpy as np
import pytest

from wm_mpc.view.projection import rotation_of_angles
from wm_mpc.view.visuals import VisualsError, mesh_path, read_parts

BOX = '<geometry><box size="1 2 3"/></geometry>'


def urdf(*links):
    return f'<robot name="r">{"".join(links)}</robot>'


def link(inside, name="arm"):
    return f'<link name="{name}">{inside}</link>'


def visual(geometry, more="", which="visual"):
    return f"<{which}>{more}{geometry}</{which}>"


def mesh(path):
    return f'<geometry><mesh filename="{path}" scale="2 2 2"/></geometry>'


def found(path):
    return mesh_path(path, lambda package: (_ for _ in ()).throw(LookupError(package)))


def test_a_shape_has_its_place_size_and_colour():
    more = (
        '<origin xyz="0.1 0.2 0.3" rpy="0 0 1.5707963"/>'
        '<material name="red"><color rgba="1 0 0 1"/></material>'
    )
    (part,), complaints = read_parts(urdf(link(visual(BOX, more))), found)
    assert (part.link, part.kind, part.colour, complaints) == ("arm", "box", (255, 0, 0), [])
    np.testing.assert_allclose(part.size, [1, 2, 3])
    np.testing.assert_allclose(part.position, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(part.axes @ [1, 0, 0], [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "size"),
    [('<sphere radius="0.5"/>', [0.5] * 3), ('<cylinder radius="0.2" length="3"/>', [0.2, 3, 0])],
)
def test_other_shapes(shape, size):
    (part,), _ = read_parts(urdf(link(visual(f"<geometry>{shape}</geometry>"))), found)
    np.testing.assert_allclose(part.size, size)


def test_a_colour_that_is_named_elsewhere():
    shared = '<material name="blue"><color rgba="0 0 1 1"/></material>'
    (part,), _ = read_parts(urdf(shared, link(visual(BOX, '<material name="blue"/>'))), found)
    assert part.colour == (0, 0, 255)


def test_a_heavy_mesh_gives_way_to_the_shape_for_collisions(tmp_path):
    light, heavy = tmp_path / "light.obj", tmp_path / "heavy.obj"
    light.write_text("v")
    heavy.write_bytes(b"v" * 600_000)
    both = visual(mesh(f"file://{heavy}")) + visual(mesh(f"file://{light}"), which="collision")
    (part,), _ = read_parts(urdf(link(both)), found)
    assert part.file.endswith("light.obj")
    np.testing.assert_allclose(part.size, [2, 2, 2])
    (alone,), _ = read_parts(urdf(link(visual(mesh(f"file://{heavy}")))), found)
    assert alone.file.endswith("heavy.obj")


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (visual(mesh("package://nobody/arm.obj")), "the package nobody is not installed"),
        (visual(mesh("file:///no/arm.obj")), "there is no such file"),
        (visual(mesh("http://example.org/arm.obj")), "accepted are file:// and package://"),
        (visual("<geometry><capsule/></geometry>"), "its shape is capsule; accepted: mesh, box"),
        (visual(BOX, '<origin xyz="a b c"/>'), "xyz is 'a b c'; accepted: numbers"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_the_rest_is_drawn(inside, reason):
    parts, (said,) = read_parts(urdf(link(inside), link(visual(BOX), "hand")), found)
    assert [part.link for part in parts] == ["hand"]
    assert "arm is not drawn" in said
    assert reason in said


def test_what_is_no_description_is_refused():
    with pytest.raises(VisualsError, match="no XML"):
        read_parts("nothing", found)


def test_a_package_is_looked_up(tmp_path):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "a b.stl").write_text("x")
    path = mesh_path("package://mine/meshes/a%20b.stl", lambda package: tmp_path)
    assert path.name == "a b.stl"


def test_turns_come_in_the_order_of_urdf():
    roll, pitch = np.pi / 2, np.pi / 2
    np.testing.assert_allclose(rotation_of_angles(roll, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-9)
    # First about x, then about y.
    np.testing.assert_allclose(rotation_of_angles(roll, pitch, 0) @ [0, 1, 0], [1, 0, 0], atol=1e-9)
