"""What the links of a robot description (URDF) look like: shapes, places, colours.

Where the joints are is another matter: see `wm_mpc.sim.frames`. Nothing is loaded here; `mesh_path`
says which file a mesh is in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np

from wm_mpc.view.projection import rotation_of_angles

_GREY = (200, 204, 210)
_HEAVY = 500_000  # bytes of a mesh, above which the coarser shape for collisions is drawn


class VisualsError(ValueError):
    """A part that cannot be drawn; the text says which, and why."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A shape on a link.

    Attributes:
        link: Name of the link.
        kind: mesh, box, sphere or cylinder.
        size: Of a mesh its scale, of a box its edges, of others radius and length; (3,), m.
        file: Name of a mesh as the description has it; empty for others.
        position: In the frame of the link, (3,), m.
        axes: x, y and z axis there, as columns (3, 3).
        colour: RGB, 0 to 255.
    """

    link: str
    kind: str
    size: np.ndarray
    file: str
    position: np.ndarray
    axes: np.ndarray
    colour: tuple[int, int, int]


def read_parts(description: str, find: Callable[[str], Path]) -> tuple[list[Part], list[str]]:
    """Read what is to be drawn.

    A mesh that is too heavy for a page gives way to the shape for collisions, where there is one.

    Args:
        description: URDF.
        find: Gives the file of a mesh. Raises VisualsError.

    Returns:
        The parts, and a sentence for each that cannot be drawn.

    Raises:
        VisualsError: It is no robot description.
    """
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError as error:
        raise VisualsError(f"the robot description is no XML: {error}") from None
    colours = {str(m.get("name")): c for m in root.iter("material") if (c := _colour(m))}
    parts: list[Part] = []
    complaints: list[str] = []
    for link in root.iter("link"):
        name = str(link.get("name"))
        try:
            drawn = list(_parts(link, "visual", name, colours))
            if any(_is_heavy(part, find) for part in drawn):
                drawn = list(_parts(link, "collision", name, colours)) or drawn
            for part in drawn:
                if part.file:
                    find(part.file)
            parts += drawn
        except VisualsError as error:
            complaints.append(f"{name} is not drawn: {error}")
    return parts, complaints


def mesh_path(name: str, share: Callable[[str], Path]) -> Path:
    """Return the file of a mesh.

    Args:
        name: As the description has it: `file://...`, `package://...` or a path.
        share: Gives the folder of an installed package. Raises LookupError.

    Raises:
        VisualsError: There is no such file.
    """
    parts = urlsplit(name)
    if parts.scheme == "package":
        try:
            path = share(parts.netloc) / unquote(parts.path).lstrip("/")
        except LookupError:
            raise VisualsError(f"{name}: the package {parts.netloc} is not installed") from None
    elif parts.scheme in ("", "file"):
        path = Path(unquote(parts.path))
    else:
        raise VisualsError(f"{name}: accepted are file:// and package://")
    if not path.is_file():
        raise VisualsError(f"{name}: there is no such file")
    return path


def _is_heavy(part: Part, find: Callable[[str], Path]) -> bool:
    return bool(part.file) and find(part.file).stat().st_size > _HEAVY


def _parts(
    link: ElementTree.Element, which: str, name: str, colours: dict[str, tuple[int, int, int]]
) -> Iterator[Part]:
    for element in link.findall(which):
        geometry = element.find("geometry")
        shape = None if geometry is None else next(iter(geometry), None)
        if shape is None:
            continue
        sizes = {
            "mesh": lambda s: _numbers(s, "scale", "1 1 1"),
            "box": lambda s: _numbers(s, "size", "1 1 1"),
            "sphere": lambda s: np.full(3, float(s.get("radius", 1.0))),
            "cylinder": lambda s: np.array(
                [float(s.get("radius", 1.0)), float(s.get("length", 1.0)), 0.0]
            ),
        }
        if shape.tag not in sizes:
            raise VisualsError(f"its shape is {shape.tag}; accepted: {', '.join(sizes)}")
        origin = element.find("origin")
        origin = ElementTree.Element("origin") if origin is None else origin
        material = element.find("material")
        own = None if material is None else _colour(material)
        shared = None if material is None else colours.get(str(material.get("name")))
        yield Part(
            name,
            shape.tag,
            sizes[shape.tag](shape),
            str(shape.get("filename", "")),
            _numbers(origin, "xyz", "0 0 0"),
            rotation_of_angles(*_numbers(origin, "rpy", "0 0 0")),
            own or shared or _GREY,
        )


def _colour(material: ElementTree.Element) -> tuple[int, int, int] | None:
    found = material.find("color")
    if found is None:
        return None
    red, green, blue = (round(255 * share) for share in _numbers(found, "rgba", "1 1 1 1")[:3])
    return red, green, blue


def _numbers(element: ElementTree.Element, key: str, default: str) -> np.ndarray:
    try:
        return np.array([float(word) for word in element.get(key, default).split()])
    except ValueError:
        raise VisualsError(f"{key} is {element.get(key)!r}; accepted: numbers") from None
