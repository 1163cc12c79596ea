"""Read sqlite3 files of rosbag2, in every journal mode, finished or not, as far as their pages
allow.

A file with a journal next to it was not closed: its recorder still runs, or was killed. sqlite can
read a running one, because it separates readers from writers. Files of a killed recorder are
copied to a temporary folder, where sqlite completes them. The recording itself never changes.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from wm_mpc.data.storage.stored import Channel, StorageError, StoredFile, UnreadableError

MAGIC = b"SQLite format 3\0"
_WAIT = 2.0  # s; for another process to let go of the file
_ROWS = 1000  # read at a time
# Fills the missing part. As a row, it is empty and has a small number; no message contains it.
_MISSING = bytes.fromhex("01030002030101020003020201000301")


class SqliteFile(StoredFile):
    """A sqlite3 file of rosbag2; see `StoredFile`.

    Raises:
        StorageError: The file is not from rosbag2, or cannot be read now.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._stack = contextlib.ExitStack()
        try:
            self._connection = self._connect()
            self._read_topics()
            self._scan()
        except (sqlite3.Error, OSError) as error:
            self._stack.close()
            raise StorageError(_reason(error)) from None
        except (TypeError, ValueError) as error:  # damaged pages give values of any type
            self._stack.close()
            raise StorageError(f"its table of topics is damaged: {error}") from None
        except StorageError:
            self._stack.close()
            raise

    # ------------------------------------------------------------------------------------ opening

    def _connect(self) -> sqlite3.Connection:
        journal, wal, shared = (_beside(self.path, end) for end in ("-journal", "-wal", "-shm"))
        with self.path.open("rb") as file:
            head = file.read(32)
        if not journal and not wal:
            if (missing := _full_size(head) - self.path.stat().st_size) > 0:
                self.unknown.append(f"it was cut: its last {missing} bytes are missing")
                return self._completed(_full_size(head))
            # The file is complete. In mode WAL, sqlite would create files next to it.
            is_wal = head[18:20] == b"\2\2"
            return self._try(self.path, "immutable=1" if is_wal and not shared else "mode=ro")
        if journal or shared:
            try:
                return self._try(self.path, "mode=ro")
            except sqlite3.OperationalError as error:
                if _is_locked(error):
                    raise
        kinds = " and ".join(file.name for file in (journal, wal) if file)
        self.remarks.append(f"it was never closed; {kinds} is read as well")
        return self._completed(0)

    _torn_ends: tuple[bytes, ...] = ()  # ends of truncated messages

    def _completed(self, size: int) -> sqlite3.Connection:
        """A connection to a copy that sqlite may change, of at least `size` bytes."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wm_mpc_bag_")))
        files = [self.path, *(f for end in ("-journal", "-wal") if (f := _beside(self.path, end)))]
        before = [_state(file) for file in files]
        for file in files:
            shutil.copyfile(file, folder / file.name)
        if before != [_state(file) for file in files]:
            raise StorageError("it is being written; stop its recorder first")
        self.unfinished = True
        copy = folder / self.path.name
        if copy.stat().st_size < size:  # otherwise sqlite would read nothing
            self._torn_ends = _fill_up(copy, size)
        return self._try(copy, "mode=rw")

    def _try(self, path: Path, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(path.resolve()))}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=_WAIT, check_same_thread=False)
        connection.text_factory = _text
        try:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        self._stack.callback(connection.close)
        return connection

    # ------------------------------------------------------------------------------------ reading

    def _read_topics(self) -> None:
        ask = self._connection.execute
        tables = {name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"messages", "topics"} <= tables:
            raise StorageError("it has no tables `topics` and `messages`, which rosbag2 creates")
        definitions: dict[str, tuple[str, str]] = {}
        if "message_definitions" in tables:
            rows = ask("SELECT topic_type, encoding, encoded_message_definition "
                       "FROM message_definitions")  # fmt: skip
            definitions = {_text(name): (_text(kind), _text(text)) for name, kind, text in rows}
        columns = {row[1] for row in ask("PRAGMA table_info(topics)")}
        digest = "type_description_hash" if "type_description_hash" in columns else "''"
        for number, topic, name, encoding, hash_ in ask(
            f"SELECT id, name, type, serialization_format, {digest} FROM topics"
        ):
            kind, text = definitions.get(_text(name), ("", ""))
            self.channels[int(number)] = Channel(
                _text(topic), _text(name), _text(encoding), kind, text, _text(hash_)
            )

    def _scan(self) -> None:
        """Note the arrival of each message; after damaged pages, continue behind them."""
        nowhere: Counter[int] = Counter()
        gaps = skipped = newest = 0
        for item in self._walk():
            if isinstance(item, int):
                gaps += item
                continue
            number, channel, time = item
            skipped += number - newest - 1 if newest else 0
            newest = number
            if self._torn_ends and not self._is_whole(number):
                gaps += 1
            elif channel not in self.channels:
                nowhere[channel] += 1
            elif isinstance(time, int) and time >= 0:
                self._keep(channel, time, number)
            else:
                self.unreadable[channel] += 1
        for channel, count in nowhere.items():
            self.unaccounted.append(
                f"{count} messages are of topic {channel}, which has no definition"
            )
        if skipped > gaps:
            self._explain(skipped - gaps)
        if self.unknown:  # it was cut, and the number of lost messages is not known
            self.unattributed = gaps
        elif gaps and len(self.channels) == 1:
            self.unreadable[next(iter(self.channels))] += gaps
            self.remarks.append(f"{gaps} messages lie in damaged pages and cannot be read")
        elif gaps:
            self.unattributed = gaps
            self.unknown.append(f"{gaps} messages lie in damaged pages; their topics are not known")

    def _is_whole(self, number: int) -> bool:
        try:
            return bool(self.fetch(number))
        except UnreadableError:
            return False

    def _explain(self, skipped: int) -> None:
        """Say why messages are missing whose numbers were already assigned."""
        try:
            ((found, *_), *_) = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found == "ok":
            self.remarks.append(f"{skipped} numbers are missing: their messages were deleted")
        else:
            reason = " ".join(str(found).split())
            self.unaccounted.append(f"{skipped} messages are missing, by their numbers: {reason}")

    def _walk(self) -> Iterator[tuple[int, int, int] | int]:
        """Number, topic and time of each message, and the size of each gap in the numbers from
        damage."""
        last, count = 0, _ROWS
        while True:
            rows = self._rows(last, count)
            if rows is None and count > 1:  # read the rows before the damage first
                count //= 2
            elif rows is None:
                behind = self._behind_damage(last)
                rows = [] if behind is None else self._rows(behind, 1) or []
                yield (rows[0][0] if rows else self._newest() + 1) - last - 1
                if behind is None or not rows:
                    return
                last = behind
            elif rows:
                yield from rows
                last, count = rows[-1][0], min(_ROWS, 2 * count)
            else:
                return

    def _rows(self, last: int, count: int) -> list[tuple[int, int, int]] | None:
        """The next messages after number `last`; None if a page is damaged."""
        query = "SELECT id, topic_id, timestamp FROM messages WHERE id > ? ORDER BY id LIMIT ?"
        try:
            rows = self._connection.execute(query, (last, count)).fetchall()
        except sqlite3.OperationalError as error:
            if _is_locked(error):
                raise
            return None
        except sqlite3.DatabaseError:
            return None
        # Damaged pages may give arbitrary numbers.
        numbers = [last, *(row[0] for row in rows)]
        good = [b > a for a, b in itertools.pairwise(numbers)]
        if all(good):
            return rows
        return rows[: good.index(False)] or None

    def _behind_damage(self, last: int) -> int | None:
        """The smallest number after which messages can be read again, or None."""
        low, step, newest = last, 1, self._newest()
        while self._rows(high := low + step, 1) is None:
            low, step = high, 2 * step
            if low > newest:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._rows(middle, 1) is None else (low, middle)
        return high

    def _newest(self) -> int:
        """The highest number of a message in any readable page."""
        for query in ("SELECT max(id) FROM messages", "SELECT count(*) FROM messages"):
            with contextlib.suppress(sqlite3.DatabaseError):
                return int(self._connection.execute(query).fetchone()[0] or 0)
        return max((number for places in self.places.values() for number in places), default=0)

    def fetch(self, place: int) -> bytes:
        """Return the serialized message at a place; see `StoredFile`.

        Args:
            place: An entry of `places`.

        Raises:
            UnreadableError: The message cannot be read.
        """
        try:
            row = self._connection.execute(
                "SELECT data FROM messages WHERE id = ?", (place,)
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise UnreadableError(f"its page is damaged: {error}") from None
        if row is None or not isinstance(row[0], bytes):
            raise UnreadableError("it is no longer there")
        if self._torn_ends and (_MISSING in row[0] or row[0].endswith(self._torn_ends)):
            raise UnreadableError("a part of it was cut off")
        return row[0]

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _beside(path: Path, ending: str) -> Path | None:
    """The file with this name and ending, if it is not empty."""
    file = path.with_name(path.name + ending)
    try:
        return file if file.stat().st_size else None
    except FileNotFoundError:
        return None


def _full_size(head: bytes) -> int:
    """Size that a file should have according to its first bytes."""
    if len(head) < 32:
        return 0
    page, pages = struct.unpack_from(">H", head, 16)[0], struct.unpack_from(">I", head, 28)[0]
    return int(pages * (65536 if page == 1 else page))


def _fill_up(file: Path, size: int) -> tuple[bytes, ...]:
    """Extend a truncated file to its full size; returns the possible ends of truncated messages.
    Zeros could be data, so the filling is a pattern that repeats at the same place of every
    page."""
    cut = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(cut)
        for at in range(cut, size, 1 << 20):
            opened.write(_filling(at, min(1 << 20, size - at)))
    return tuple(_filling(at, count) for at in (cut, 4) for count in range(2, 2 * len(_MISSING)))


def _filling(at: int, count: int) -> bytes:
    """The filling of a file from byte `at` on."""
    phase = at % len(_MISSING)
    return (_MISSING * (count // len(_MISSING) + 2))[phase : phase + count]


def _state(file: Path) -> tuple[int, int]:
    """Values that change when a file is written."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _is_locked(error: Exception) -> bool:
    return "locked" in str(error)


def _reason(error: Exception) -> str:
    if _is_locked(error):
        return "it is locked by another process; stop its recorder first"
    return f"sqlite reports: {error}" if isinstance(error, sqlite3.Error) else str(error)
