"""The width and height of an image in base64, from the few bytes that say them: nothing else is decoded.

Sources: the PNG specification (IHDR), GIF89a, the WebP container (VP8, VP8L, VP8X) and JPEG (ITU T.81, frame headers).
"""

import base64
import binascii

Size = tuple[int, int]
# Segments of a JPEG that are looked at: a frame header comes after a few tables and pieces of metadata.
MAX_SEGMENTS = 64
# Markers that begin a frame, but for those of tables among them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_size(data: str) -> Size | None:
    """Return width and height in pixels; None where the data does not say them plainly."""
    head = _bytes(data, 0, 30)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) == 30:
        return _webp(head)
    return _jpeg(data) if head.startswith(b"\xff\xd8\xff") else None


def _webp(head: bytes) -> Size | None:
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def _jpeg(data: str) -> Size | None:
    """Go from segment to segment, each of which says how long it is."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        segment = _bytes(data, at, 9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        if segment[1] in _FRAMES:
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        at += 2 + int.from_bytes(segment[2:4], "big")
    return None


def _bytes(data: str, start: int, count: int) -> bytes:
    """Return `count` bytes from the offset `start`; fewer at the end, and none where that is not plain base64."""
    # Three bytes are four characters.
    first, skipped = divmod(start, 3)
    last = -(-(start + count) // 3)
    try:
        return base64.b64decode(data[4 * first : 4 * last], validate=True)[skipped : skipped + count]
    except (binascii.Error, ValueError):
        return b""
