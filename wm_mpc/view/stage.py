"""Where the camera's picture stands in the picture that the page shows, and in its middle."""

from __future__ import annotations

import dataclasses

_LONGEST = 512  # pixels of the picture's longer side, as it is sent
_MARGIN, _ABOVE = 4, 40  # pixels around it, and above it, where the caption is
_EDGE = 1e-6  # of the picture; points on its edge belong to it
NARROW = 0.65  # width over height; narrower than that is a telephone's screen
TELEPHONE_SHARE = 0.38  # of a telephone's screen, from above, that the picture has


@dataclasses.dataclass(frozen=True)
class Stage:
    """A picture with a caption above it, and the box of the camera's picture in it.

    Attributes:
        width, height: Of the whole, pixels.
        left, top, right, bottom: Of the camera's picture, pixels.
    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, width: int, height: int) -> Stage:
        """The stage for a camera's picture of this size, pixels."""
        scale = _LONGEST / max(width, height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        across = max(wide, _LONGEST // 2)  # room for the caption
        left = _MARGIN + (across - wide) // 2
        return cls(
            across + 2 * _MARGIN, high + _ABOVE + _MARGIN, left, _ABOVE, left + wide, _ABOVE + high
        )

    def in_picture(
        self, across: float, down: float, screen: tuple[int, int]
    ) -> tuple[float, float] | None:
        """Where a point of the screen is in the camera's picture.

        The stage is as large as the screen allows, in its middle; on a telephone, in the middle of
        its upper part.

        Args:
            across: Share of the screen's width.
            down: Share of its height.
            screen: Width and height, pixels.

        Returns:
            Column and row as shares of the picture; None for a point outside of it.
        """
        wide, high = screen
        room = high * TELEPHONE_SHARE if wide <= NARROW * high else float(high)
        scale = min(wide / self.width, room / self.height)
        x = (across * wide - (wide - scale * self.width) / 2) / scale
        y = (down * high - (room - scale * self.height) / 2) / scale
        column = (x - self.left) / (self.right - self.left)
        row = (y - self.top) / (self.bottom - self.top)
        inside = all(-_EDGE <= share <= 1.0 + _EDGE for share in (column, row))
        return (column, row) if inside else None
