"""Numbers, times and foreign text, as they may stand on a terminal."""

import unicodedata
from datetime import timedelta
from decimal import Decimal

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.prices import dollars
from batchctl.domain.wording import plural
from batchctl.render.text import clean, duration, moment, number, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, naïve and 日本 and 😀", "plain text, naïve and 日本 and 😀"),
        ("two\nlines\r\nand\ttabs", r"two\nlines\r\nand\ttabs"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("back\x08space", r"back\x08space"),
        ("nul\0", r"nul\x00"),
        ("\u202egnp.exe\u202c", r"\u202egnp.exe\u202c"),
        ("\u2066isolate\u2069", r"\u2066isolate\u2069"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("line\u2028and\u2029paragraph", r"line\u2028and\u2029paragraph"),
        ("half \ud800", r"half \ud800"),
        ("", ""),
    ],
)
def test_text_from_outside_stays_on_its_line_and_moves_nothing(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("length", "shown"), [(9, "x" * 9), (10, "x" * 10), (11, "x" * 10 + "…"), (10**6, "x" * 10 + "…")]
)
def test_long_text_is_cut(length: int, shown: str) -> None:
    assert clean("x" * length, 10) == shown


@given(st.text())
def test_whatever_comes_in_only_harmless_characters_come_out(text: str) -> None:
    assert not [c for c in clean(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1234, "1.2 KB"),
        (99_900, "99.9 KB"),
        (123_456, "123 KB"),
        (999_400, "999 KB"),
        (999_999, "1.0 MB"),
        (250_000_000, "250 MB"),
        (999_999_999, "1.0 GB"),
        (1_500_000_000, "1.5 GB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_bytes_are_counted_as_the_api_counts_them(value: int, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 m 0 s"),
        (61, "1 m 1 s"),
        (3599, "59 m 59 s"),
        (3600, "1 h 0 m"),
        (90061, "25 h 1 m"),
        (48 * 3600 - 1, "47 h 59 m"),
        (48 * 3600, "2 d 0 h"),
        (29 * 86400 + 3600, "29 d 1 h"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("value", "words", "shown"),
    [
        (0, ("request",), "0 requests"),
        (1, ("request",), "1 request"),
        (1234, ("batch",), "1,234 batches"),
        (1, ("batch",), "1 batch"),
        (2, ("upload is", "uploads are"), "2 uploads are"),
    ],
)
def test_one_is_not_many(value: int, words: tuple[str, ...], shown: str) -> None:
    assert plural(value, *words) == shown


def test_numbers_have_commas_and_moments_their_zone() -> None:
    assert number(1_234_567) == "1,234,567"
    assert moment(NOW) == "2026-11-21 12:00 UTC"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("1234.565", "$1,234.56"),
        ("1", "$1.00"),
        ("0.999", "$1.00"),
        ("0.5", "$0.50"),
        ("0.126", "$0.13"),
        ("0.0126", "$0.013"),
        ("0.00999", "$0.0100"),
        ("0.0000012345", "$0.0000012"),
    ],
)
def test_money_is_shown_in_cents_and_never_as_nothing_where_it_is_something(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown
