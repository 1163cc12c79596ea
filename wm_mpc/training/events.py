"""TensorBoard events of a run in `<run>/tensorboard`: loss curves during the run, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


class Events:
    """Writes events. The file is created with the first value, so an idle run leaves no file.

    Args:
        directory: Directory of the run.
        first_step: TensorBoard drops earlier events from this step on, so a resumed run has one
            curve.
    """

    def __init__(self, directory: Path, first_step: int = 0) -> None:
        self._directory, self._first_step = directory / "tensorboard", first_step
        self._writer: Any = None

    def scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        """Write named values of one update.

        Args:
            group: Name of the phase.
            step: Number of the update, over all phases.
            values: The values.
        """
        for name, value in values.items():
            self._open().add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, path: Path, step: int) -> None:
        """Write an image.

        Args:
            name: Title of the image.
            path: Image file.
            step: Number of the update, over all phases.
        """
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._open().add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Write pending events to the file."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Close the file, if any."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import

            self._writer = SummaryWriter(str(self._directory), purge_step=self._first_step)
        return self._writer
