"""Check strictly that a JPEG image is complete, because decoders fill in missing parts silently.

Cameras put all kinds of bytes after the end marker of an image (padding, a line end, the rest of
an older image); these do not matter. A truncated image may also end in an end marker: that of an
older image in the same buffer. Only decoding distinguishes the two.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct

import numpy as np
from PIL import Image

from wm_mpc.messages.errors import MessageError

START = b"\xff\xd8"
_END = b"\xff\xd9"
_SOS, _DRI, _EOI, _SOI = 0xDA, 0xDD, 0xD9, 0xD8
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_STANDALONE = (0x01, *range(0xD0, 0xD8))
_JUNK = np.random.default_rng(17).integers(0, 255, 300, np.uint8).tobytes()  # no 0xff: no marker
_RESTART = re.compile(rb"(\xff[\xd0-\xd7])", re.DOTALL)
_ZEROS = bytes(16)  # more zeros at the end of the coded data are rarely data
_FLAT = 64  # nonzero bytes of coded data; an image with fewer may be of one colour
_FEW_UNITS = 2  # units that a few surplus bits or bytes at the end decode to


@dataclasses.dataclass
class _Layout:
    """Positions in a JPEG file: `end` of the coded data of the last scan, `height_at` of the two
    bytes of the height, `scans` the start of each scan's data. `mcu` is the height and width of
    a coded unit in pixels; `covered` says whether the scans contain every coefficient to its
    last bit."""

    frame: int = 0
    height_at: int = 0
    height: int = 0
    width: int = 0
    components: int = 0
    mcu: tuple[int, int] = (8, 8)
    interval: int = 0
    scans: list[int] = dataclasses.field(default_factory=list)
    end: int = 0
    covered: bool = True


def whole_jpeg(data: bytes, what: str) -> bytes:
    """Return an image without the bytes after its end marker.

    Args:
        data: Bytes that begin with a JPEG image.
        what: Name of the image in errors.

    Raises:
        MessageError: The image is truncated, or contains coded data of another image.
    """
    layout = _layout(data, what)
    if layout.frame not in _FRAMES or not layout.height or not layout.width:
        raise MessageError(f"{what} cannot be decoded: it has no header of a picture of known kind")
    if layout.frame == 0xC2:
        _check_progressive(data, layout, what)
    else:
        _check_restarts(data, layout, what)
        _check_blocks(data, layout, what)
    coded = len(data[: layout.end].rstrip(b"\0")) - layout.scans[0]
    if data[: layout.end].endswith(_ZEROS) and coded > _FLAT:
        _check_zeros(data, layout, what)
    return data[: layout.end] + _END


def _layout(data: bytes, what: str) -> _Layout:
    """Walk from marker to marker."""
    layout = _Layout()
    precision: dict[tuple[int, int], int] = {}
    at = 2
    while True:
        if at + 2 > len(data):
            raise MessageError(f"{what} is truncated: it has no end marker")
        if data[at] != 0xFF:
            raise MessageError(f"{what} is truncated or damaged: byte {at} is no marker")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == _EOI:
            if not layout.scans:
                raise MessageError(f"{what} is truncated: it ends before the picture begins")
            if layout.frame == 0xC2:
                wanted = layout.components * 64
                layout.covered = list(precision.values()).count(0) == wanted
            return layout
        elif marker == _SOI:
            raise MessageError(f"{what} is truncated: another picture begins inside it")
        elif marker in _STANDALONE:
            at += 2
        else:
            length = struct.unpack_from(">H", data, at + 2)[0] if at + 4 <= len(data) else 0
            body = data[at + 4 : at + 2 + length]
            if length < 2 or len(body) < length - 2:
                raise MessageError(f"{what} is truncated: it ends in its header")
            if marker in _FRAMES:
                _read_frame(layout, marker, body, at + 4, what)
            elif marker == _DRI and len(body) >= 2:
                layout.interval = struct.unpack_from(">H", body)[0]
            at += 2 + length
            if marker == _SOS:
                layout.scans.append(at)
                _read_scan(precision, body)
                at = layout.end = _end_of_scan(data, at, what)


def _read_frame(layout: _Layout, marker: int, body: bytes, at: int, what: str) -> None:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise MessageError(f"{what} is damaged: its header is too short")
    layout.frame, layout.height_at, layout.components = marker, at + 1, body[5]
    layout.height, layout.width = struct.unpack_from(">HH", body, 1)
    factors = [body[7 + 3 * k] for k in range(body[5])]
    if body[5] > 1:
        layout.mcu = (
            8 * max(f & 15 for f in factors) or 8,
            8 * max(f >> 4 for f in factors) or 8,
        )


def _read_scan(precision: dict[tuple[int, int], int], body: bytes) -> None:
    """Note down to which bit a scan contains the coefficients of its components."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    for k in range(count):
        for coefficient in range(first, min(last, 63) + 1):
            precision[body[1 + 2 * k], coefficient] = bits & 15


def _end_of_scan(data: bytes, at: int, what: str) -> int:
    """End of the coded data that begin at `at`: the next marker except a restart, or its fill
    bytes."""
    while True:
        first = at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if not 0 <= at < len(data):
            raise MessageError(f"{what} is truncated: it has no end marker")
        if data[at] and not 0xD0 <= data[at] <= 0xD7:
            return first


def _check_restarts(data: bytes, layout: _Layout, what: str) -> None:
    """Check that restart markers count from 0 to 7 repeatedly, one after each interval."""
    if not layout.interval or len(layout.scans) != 1:
        return
    coded = np.frombuffer(data, np.uint8)[layout.scans[0] : layout.end]
    after = coded[1:][(coded[:-1] == 0xFF) & (coded[1:] >= 0xD0) & (coded[1:] <= 0xD7)]
    units = -(-layout.height // layout.mcu[0]) * -(-layout.width // layout.mcu[1])
    wanted = -(-units // layout.interval) - 1
    in_order = (after == 0xD0 + np.arange(len(after)) % 8).all()
    if not in_order or len(after) not in (wanted, wanted + 1):
        raise MessageError(
            f"{what} is truncated or damaged: it has {len(after)} restart markers"
            f"{'' if in_order else ' out of order'}; {wanted} are needed"
        )
    filled = _RESTART.sub(_JUNK + rb"\1", data[layout.scans[0] : layout.end])
    plain = _grey(data[: layout.end] + _END)
    longer = _grey(data[: layout.scans[0]] + filled + _END)
    if plain is None or longer is None or (plain != longer).any():
        raise MessageError(f"{what} is truncated: coded data are missing in the middle of it")


def _taller(layout: _Layout) -> bytes:
    """The two height bytes of an image with one more row of units."""
    rows = -(-layout.height // layout.mcu[0])
    return struct.pack(">H", min((rows + 1) * layout.mcu[0], 65535))


def _check_blocks(data: bytes, layout: _Layout, what: str) -> None:
    """Decode the image, small, as if it had one more row of units. Missing data show inside the
    image; surplus data fill the additional row."""
    rows = -(-layout.height // layout.mcu[0])
    head = data[: layout.height_at] + _taller(layout) + data[layout.height_at + 2 : layout.end]
    plain = _grey(head + _END)
    if plain is None:
        raise MessageError(f"{what} cannot be decoded: it is damaged")
    unit = layout.mcu[0] // 8, layout.mcu[1] // 8
    inside = rows * unit[0]
    surplus = _surplus(plain[inside:])
    # Complete images mostly end in some bits of padding, which are visible.
    if not surplus or (plain[inside - unit[0] : inside, -unit[1] :] == plain[-1, -1]).all():
        filled = _grey(head + _JUNK + _END)
        if filled is None or (plain[:inside] != filled[:inside]).any():
            raise MessageError(f"{what} is truncated: coded data are missing at its end")
    if surplus > _FEW_UNITS * unit[0] * unit[1]:
        bare = _grey(_without_padding(head) + _END)
        if bare is None or _surplus(bare[inside:]) > _FEW_UNITS * unit[0] * unit[1]:
            raise MessageError(f"{what} is truncated: coded data of another picture follow in it")


def _check_zeros(data: bytes, layout: _Layout, what: str) -> None:
    """Check zeros at the end of the coded data. Zeros are valid codes and can complete any
    truncated image, so the image must be complete without them or need exactly as many."""
    rows = -(-layout.height // layout.mcu[0]) * (layout.mcu[0] // 8)
    head = data[: layout.height_at] + _taller(layout) + data[layout.height_at + 2 : layout.end]
    bare = _without_padding(head)
    eighth = layout.frame != 0xC2
    for count in (0, 1, 2, 4, 8, len(_ZEROS)):
        begin = bare + bytes(count)
        plain, filled = (
            _grey(begin + _END, eighth=eighth),
            _grey(begin + _JUNK + _END, eighth=eighth),
        )
        inside = rows if eighth else layout.height
        if plain is not None and filled is not None and (plain == filled)[:inside].all():
            return
    if eighth:
        plain, filled = _grey(head + _END), _grey(head + _JUNK + _END)
        if plain is not None and filled is not None:
            ends = np.flatnonzero((plain != filled)[rows:].any(axis=0))
            if len(ends) and ends[0] <= _FEW_UNITS * (layout.mcu[1] // 8):
                return
    raise MessageError(f"{what} is truncated: zeros are in place of its end")


def _surplus(row: np.ndarray) -> int:
    """Number of blocks of the additional row that differ from what no data decode to."""
    return int((row != row[-1, -1]).sum()) if row.size else 0


def _without_padding(coded: bytes) -> bytes:
    """The data without the zeros with which some encoders fill up a whole number of words."""
    bare = coded.rstrip(b"\0")
    return bare + b"\0" if bare.endswith(b"\xff") else bare


def _check_progressive(data: bytes, layout: _Layout, what: str) -> None:
    """Check that all passes of a progressive image are there and that the last one is complete."""
    plain = _grey(data[: layout.end] + _END, eighth=False)
    filled = _grey(data[: layout.end] + _JUNK + _END, eighth=False)
    if plain is None or filled is None:
        raise MessageError(f"{what} cannot be decoded: it is damaged")
    if not layout.covered or (plain != filled).any():
        raise MessageError(f"{what} is truncated: coded data are missing at its end")


def _grey(data: bytes, *, eighth: bool = True) -> np.ndarray | None:
    """Brightness of the image, uint8 (height, width), or an eighth as large, which is faster;
    None if it cannot be decoded. OpenCV is not used here, because it prints warnings to the
    terminal."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            picture.draft("L", (1, 1) if eighth else picture.size)
            pixels = np.asarray(picture)
    except Exception:  # damaged data can make a decoder raise anything
        return None
    return pixels if pixels.ndim == 2 else pixels.max(axis=2)
