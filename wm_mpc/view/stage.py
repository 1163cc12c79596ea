"""Where the camera's picture stands on the stage, which is all the room between the panels."""

from __future__ import annotations

import dataclasses

_MARGIN, _TOP = 16, 64  # pixels around the picture, and above it, where the caption is
_NARROW = 0.75  # a stage narrower than this share of its height is a telephone's
_COVERED = 0.62  # share of a telephone's screen that its panel may cover, from below
_EDGE = 1e-6  # of the picture; points on its edge belong to it
_LARGEST = 900  # pixels of the longer side, as it is sent


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage, and the box of the picture in it.

    Attributes:
        width, height: Of the stage as it is drawn, pixels.
        left, top, right, bottom: Of the picture, pixels.
    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, screen: tuple[int, int], picture: tuple[int, int]) -> Stage:
        """The stage of a browser.

        Args:
            screen: Width and height of the room that the browser has for it.
            picture: Width and height of the picture.
        """
        scale = min(1.0, _LARGEST / max(screen))
        width, height = (max(200, round(side * scale)) for side in screen)
        is_narrow = width < _NARROW * height and width < 500
        margin, above = (6, 44) if is_narrow else (_MARGIN, _TOP)
        room = height * (1.0 - _COVERED) if is_narrow else height
        free_width, free_height = width - 2 * margin, max(32.0, room - above - margin)
        factor = min(free_width / picture[0], free_height / picture[1])
        wide, high = max(1, round(picture[0] * factor)), max(1, round(picture[1] * factor))
        left = (width - wide) // 2
        spare = 0 if is_narrow else max(0, int(free_height) - high) // 2
        top = above + spare
        return cls(width, height, left, top, left + wide, min(height, top + high))

    def in_picture(self, across: float, down: float) -> tuple[float, float] | None:
        """Where a point of the stage is in the picture.

        Args:
            across: Share of the stage's width.
            down: Share of its height.

        Returns:
            Column and row as shares of the picture; None for a point outside of it.
        """
        column = (across * self.width - self.left) / (self.right - self.left)
        row = (down * self.height - self.top) / (self.bottom - self.top)
        inside = all(-_EDGE <= share <= 1.0 + _EDGE for share in (column, row))
        return (column, row) if inside else None
