"""Makes a screenshot small: its 8-bit RGB as a palette of at most 256 colours, a third of the bytes and no difference to the eye."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
HARDLY = 24  # squared distance that nobody sees


def shrink(png: bytes) -> bytes:
    """The same picture with a palette. Takes what Chromium writes: RGB or RGBA without a transparent part, not interlaced."""
    chunks = dict(_chunks(png))
    width, height, depth, kind, _, _, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or kind not in (2, 6) or interlace:
        raise ValueError("not a screenshot as Chromium takes them")
    rows = list(_rows(zlib.decompress(chunks[b"IDAT"]), width, height, 3 if kind == 2 else 4))
    palette = _palette(Counter(pixel for row in rows for pixel in row))
    index = {colour: number for number, colour in enumerate(palette)}
    lines = b"".join(b"\0" + bytes(_number(pixel, index, palette) for pixel in row) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """The most common colours, but none that is hardly another: shades of one must not crowd out a small red mark."""
    palette: list[bytes] = []
    for colour, _ in counted.most_common():
        if len(palette) < COLOURS and all(_distance(colour, known) > HARDLY for known in palette):
            palette.append(colour)
    return palette


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _number(pixel: bytes, index: dict[bytes, int], palette: list[bytes]) -> int:
    """The colour's place in the palette; a rare shade takes the nearest."""
    if pixel not in index:
        index[pixel] = min(range(len(palette)), key=lambda number: _distance(pixel, palette[number]))
    return index[pixel]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Chunks by name; the parts of IDAT as one."""
    at, data = len(SIGNATURE), b""
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        at += 12 + length
        data += body if name == b"IDAT" else b""
        yield (name, data) if name == b"IDAT" else (name, body)


def _rows(raw: bytes, width: int, height: int, step: int) -> Iterator[list[bytes]]:
    """Undoes the five filters of https://www.w3.org/TR/png/#9Filters."""
    above = bytearray(width * step)
    for number in range(height):
        start = number * (width * step + 1)
        line = bytearray(raw[start + 1 : start + 1 + width * step])
        _unfilter(raw[start], line, above, step)
        above = line
        yield [bytes(line[i : i + 3]) for i in range(0, len(line), step)]


def _unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    for i in range(len(line)):
        left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
        guess = (0, left, above[i], (left + above[i]) // 2, _paeth(left, above[i], corner))[kind]
        line[i] = (line[i] + guess) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    target = left + up - corner
    return min((left, up, corner), key=lambda value: abs(target - value))
