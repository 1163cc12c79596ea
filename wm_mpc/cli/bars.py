"""Progress of a command: a bar in a terminal; in a log, a line for each tenth of the way."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

from tqdm import tqdm

_LEAST = 5.0  # s between two lines, so that short work prints none
_FIRST = 10.0  # s until the first line, however little is done by then


class Lines:
    """Prints how far something is, in lines that stay. It has what commands use of `tqdm`.

    Args:
        total: Number of units; None if it is not known, then nothing is printed.
        what: What is going on.
        initial: Units that were done before.
        out: Where lines go.
        clock: The time, s.

    Attributes:
        n: Units that are done.
    """

    def __init__(
        self,
        total: int | None,
        what: str,
        initial: int,
        out: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n: float = initial
        self._total, self._what, self._initial = total, what, initial
        self._out, self._clock, self._values = out, clock, ""
        self._started = self._printed = clock()
        self._tenth, self._says = self._tenths(), False

    def _tenths(self) -> int:
        return int(10 * min(1.0, self.n / self._total)) if self._total else 0

    def update(self, count: float = 1) -> None:
        """Add units that are done."""
        self.n += count
        self.refresh()

    def set_postfix(self, values: Mapping[str, Any], refresh: bool = True) -> None:
        """Set what is printed after the progress."""
        self._values = "".join(f", {name} {value}" for name, value in values.items())
        if refresh:
            self.refresh()

    def set_description_str(self, text: str, refresh: bool = True) -> None:
        """Set what is going on."""
        self._what = text
        if refresh:
            self.refresh()

    def refresh(self) -> None:
        """Print a line if another tenth is done, and the last line is long enough ago. The first
        one also comes when some of the first tenth is done."""
        if not self._total:
            return
        now, tenth = self._clock(), self._tenths()
        begins = not self._says and now - self._started >= _FIRST and self.n > self._initial
        if begins or (tenth > self._tenth and now - self._printed >= _LEAST):
            self._tenth, self._printed, self._says = tenth, now, True
            share = 10 * tenth or int(100 * self.n / self._total)
            spent = now - self._started
            left = spent * (self._total - self.n) / max(1e-9, self.n - self._initial)
            print(
                f"{self._what}: {share} %, {tqdm.format_interval(spent)}, "
                f"{tqdm.format_interval(max(0.0, left))} left{self._values}",
                file=self._out, flush=True,
            )  # fmt: skip

    def close(self) -> None:
        """Print nothing more."""
        self._total = None

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bar(total: int | None, what: str, unit: str = "it", *, initial: int = 0, **look: Any) -> Any:
    """Begin to show progress on stderr: a bar if that is a terminal, or else now and then a line.

    Args:
        total: Number of units; None if it is not known.
        what: What is going on.
        unit: What is counted.
        initial: Units that were done before.
        look: Further arguments of `tqdm`, for the bar.

    Returns:
        A `tqdm` or `Lines`.
    """
    if sys.stderr.isatty():
        return tqdm(total=total, desc=what, unit=unit, initial=initial, **look)
    return Lines(total, what, initial, sys.stderr)


@contextlib.contextmanager
def advancing(total: int | None, what: str, unit: str) -> Iterator[Callable[[int], Any]]:
    """Show progress until the block ends, and leave no bar behind.

    Args:
        total: Number of units; None if it is not known.
        what: What is going on.
        unit: What is counted.

    Yields:
        The function that advances it by a number of units.
    """
    with bar(total, what, unit, leave=False) as shown:
        yield shown.update
