"""TensorBoard events of a run, in `<run>/tensorboard`: loss curves while it runs, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


class Events:
    """Written from the first value on; a run that has nothing to do leaves no file.

    first_step: what an earlier process wrote from this step on is dropped by TensorBoard, so that
    a resumed run has one curve.
    """

    def __init__(self, directory: Path, first_step: int = 0) -> None:
        self._directory, self._first_step = directory / "tensorboard", first_step
        self._writer: Any = None

    def scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        """Named values of one update; `group` is the phase."""
        for name, value in values.items():
            self._open().add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """A picture from a file."""
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._open().add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(str(self._directory), purge_step=self._first_step)
        return self._writer
