"""Write an animated GIF image by image.

The usual libraries keep all images in memory and encode them at the end. A robot may run for an
hour, and must stop at once on Ctrl-C, so that would take too much memory and time.
"""

from __future__ import annotations

import pathlib
import struct

import numpy as np
from PIL import GifImagePlugin, Image, ImageChops

_LOOP_FOR_EVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER = b";"


class GifWriter:
    """Appends images of one size to a GIF.

    The file stores only the part of an image that changed, and shows equal images longer.

    Args:
        path: Path of the file.
        rate: Images per second.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: pathlib.Path, rate: float) -> None:
        self._file = path.open("wb")
        self._rate = rate
        self._count = 0
        self._shown: Image.Image | None = None  # the last image in the file
        self._pending: Image.Image | None = None  # the next image, until its duration is known
        self._pending_since = 0

    def append_data(self, picture: np.ndarray) -> None:
        """Append an image, uint8 (height, width, 3) rgb."""
        image = Image.fromarray(picture)
        if self._count == 0:
            size = struct.pack("<HHBBB", image.width, image.height, 0, 0, 0)
            self._file.write(b"GIF89a" + size + _LOOP_FOR_EVER)
        if self._pending is None or ImageChops.difference(image, self._pending).getbbox():
            self._flush()
            self._pending, self._pending_since = image, self._count
        self._count += 1

    def _flush(self) -> None:
        """Write the pending image with its duration up to now."""
        image = self._pending
        if image is None:
            return
        box = (0, 0, *image.size)
        if self._shown is not None:
            box = ImageChops.difference(image, self._shown).getbbox() or (0, 0, 1, 1)
        part = image.crop(box).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        # Durations are hundredths of a second, rounded so that their sum is right.
        duration = 10 * (self._centiseconds(self._count) - self._centiseconds(self._pending_since))
        for block in GifImagePlugin.getdata(
            part, box[:2], duration=duration, include_color_table=True
        ):
            self._file.write(block)
        self._shown = image

    def _centiseconds(self, count: int) -> int:
        return round(100.0 * count / self._rate)

    def close(self) -> None:
        """Write the rest, and close the file. Call this once."""
        with self._file:
            self._flush()
            if self._count:
                self._file.write(_TRAILER)
