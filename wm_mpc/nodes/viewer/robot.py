"""A robot as it is drawn: its links, where they are, and their shapes, from its description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from wm_mpc.sim.frames import Joint, read_joints
from wm_mpc.view.visuals import Part, VisualsError, mesh_path, read_parts

Mesh = tuple[str, np.ndarray, np.ndarray, tuple[int, int, int]]
Place = tuple[str, np.ndarray, np.ndarray]


class Robot:
    """Reads a description, and loads what it names. That takes a moment.

    Args:
        description: URDF.

    Attributes:
        meshes: Link, vertices (n, 3) in its frame, faces (m, 3), colour.
        complaints: Sentences on what cannot be drawn.

    Raises:
        VisualsError: It cannot be read; the text says why.
    """

    def __init__(self, description: str) -> None:
        parts, complaints = read_parts(description, _file)
        try:
            self._joints = _from_root(read_joints(description))
        except ValueError as error:
            raise VisualsError(str(error)) from None
        self.meshes: list[Mesh] = []
        for part in parts:
            try:
                self.meshes.append(_mesh(part))
            except VisualsError as error:
                complaints.append(f"{part.link} is not drawn: {error}")
        self.complaints = tuple(complaints)

    def tree(self) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
        """Each link with its parent ("" for the root), parents first, and where it is at rest."""
        children = {joint.child for joint in self._joints}
        roots = dict.fromkeys(j.parent for j in self._joints if j.parent not in children)
        for root in roots or dict.fromkeys(mesh[0] for mesh in self.meshes):
            yield root, "", np.zeros(3), np.eye(3)
        for joint in self._joints:
            yield joint.child, joint.parent, joint.position, joint.axes

    def moving(self, positions: Mapping[str, float]) -> Iterator[Place]:
        """Each link whose joint moves, and where it is on its parent.

        Args:
            positions: Of joints by name, rad or m; others stay.
        """
        for joint in self._joints:
            if not joint.is_fixed and joint.name in positions:
                placed = joint.transform(positions[joint.name])
                yield joint.child, placed.position, placed.axes


def _from_root(joints: tuple[Joint, ...]) -> list[Joint]:
    """Parents first."""
    ordered: list[Joint] = []
    waiting = list(joints)
    while waiting:
        children = {joint.child for joint in waiting}
        ready = [joint for joint in waiting if joint.parent not in children]
        if not ready:
            names = ", ".join(joint.name for joint in waiting)
            raise VisualsError(f"the joints {names} form a ring")
        ordered += ready
        waiting = [joint for joint in waiting if joint not in ready]
    return ordered


def _file(name: str) -> Path:
    return mesh_path(name, _share)


def _share(package: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except (PackageNotFoundError, ValueError):
        raise LookupError(package) from None


def _mesh(part: Part) -> Mesh:
    try:
        import trimesh
    except ModuleNotFoundError:
        raise VisualsError("trimesh is not installed; install it: pip install trimesh") from None
    shape: Any
    if part.kind == "mesh":
        try:
            shape = trimesh.load(_file(part.file), force="mesh")
        except Exception as error:  # of whichever library reads this kind of file
            raise VisualsError(f"{part.file} cannot be read: {error}") from None
        if not len(shape.faces):
            raise VisualsError(f"{part.file} has no faces")
        vertices = np.asarray(shape.vertices) * part.size
    else:
        radius, length, _ = part.size
        shape = {
            "box": lambda: trimesh.creation.box(part.size),
            "sphere": lambda: trimesh.creation.icosphere(2, radius),
            "cylinder": lambda: trimesh.creation.cylinder(radius, length, sections=24),
        }[part.kind]()
        vertices = np.asarray(shape.vertices)
    placed = vertices @ part.axes.T + part.position
    return part.link, placed.astype(np.float32), np.asarray(shape.faces, np.uint32), part.colour
