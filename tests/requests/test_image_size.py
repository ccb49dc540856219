"""Width and height of images from the bytes that say them, and None for what does not."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.requests.image_size import MAX_SEGMENTS, image_size

RIFF = b"RIFF\0\0\0\0WEBP"
SOI, APP1 = b"\xff\xd8", b"\xff\xe1" + struct.pack(">H", 60_000) + b"\0" * 59_998
FRAME = b"\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03"
SIZES = {
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480), (640, 480)),
    "gif": (b"GIF89a" + struct.pack("<HH", 640, 480), (640, 480)),
    "webp": (RIFF + b"VP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 0x4000, 480), (640, 480)),
    "webp-lossless": (RIFF + b"VP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 479 << 14) + b"\0" * 5, (640, 480)),
    "webp-extended": (
        RIFF + b"VP8X" + b"\0" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"),
        (640, 480),
    ),
    "jpeg": (SOI + b"\xff\xc0\x00" + FRAME, (640, 480)),
    "jpeg-progressive-behind-metadata": (SOI + APP1 + b"\xff\xdb\x00\x04\0\0\xff\xc2\x00" + FRAME, (640, 480)),
    "jpeg-table-is-no-frame": (SOI + b"\xff\xc4\x00\x04\0\0\xff\xc0\x00" + FRAME, (640, 480)),
    "jpeg-cut": (SOI + APP1, None),
    "jpeg-without-end": (SOI + b"\xff\xe0\x00\x02" * (MAX_SEGMENTS + 2), None),
    "png-cut": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", None),
    "text": (b"hello, world" * 9, None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_size_is_read_where_it_is_plainly_said(name: str) -> None:
    data, size = SIZES[name]
    assert image_size(base64.b64encode(data).decode()) == size


def test_base64_that_is_not_plain_says_nothing() -> None:
    data = base64.b64encode(SIZES["png"][0]).decode()
    assert image_size(f"{data[:8]}\n{data[8:]}") is None
    assert image_size("é" * 80) is None


@given(st.sampled_from(sorted(SIZES)), st.binary(max_size=40), st.integers(0, 40))
def test_whatever_stands_there_nothing_is_raised(name: str, noise: bytes, at: int) -> None:
    whole = SIZES[name][0][:at] + noise
    size = image_size(base64.b64encode(whole).decode())
    assert size is None or min(size) >= 0
