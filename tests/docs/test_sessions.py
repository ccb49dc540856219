"""The tutorial and the picture, run again as a person runs them."""

from pathlib import Path

import pytest

from docs import sessions, terminal


@pytest.mark.slow
@pytest.mark.parametrize("page", sessions.PAGES, ids=lambda path: path.stem)
def test_a_session_says_what_its_page_shows(page: Path) -> None:
    text = page.read_text("utf-8")
    assert sessions.differences(text, sessions.renewed(text)) == [], "run `make docs`"


@pytest.mark.slow
def test_the_picture_shows_what_the_terminal_shows() -> None:
    assert terminal.shown_in(sessions.PICTURE.read_text("utf-8")) == terminal.shown_in(sessions.picture()), (
        "run `make docs`"
    )


def test_a_session_runs_with_the_files_and_words_of_its_page_alone(tmp_path: Path) -> None:
    page = "<!-- file: a.txt -->\n```text\none\n```\n<!-- session -->\n```console\n$ cat a.txt\nold\n$ false\n$ echo $?\n```\n"
    assert sessions.renewed_in(tmp_path, page) == page.replace("old", "one").replace("$?\n", "$?\n1\n")


def test_two_texts_that_differ_are_told_apart() -> None:
    assert sessions.differences("a\nb\n", "a\nc\nd\n") == ["2: 'b' is now 'c'", "3: '' is now 'd'"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("http://127.0.0.1:5123", "http://127.0.0.1:41873"),
        ("prices of 2031-02-03", "prices of 2026-11-21"),
        ("started  2031-02-03 23:59 UTC, elapsed 12 s", "started  2026-11-21 09:30 UTC, elapsed 5 s"),
        ("sent       batch 2 as b\nsent       batch 1 as a\n", "sent       batch 1 as a\nsent       batch 2 as b\n"),
        ("fetched    batch 2 of 2\nfetched    batch 1 of 2\n", "fetched    batch 1 of 2\nfetched    batch 2 of 2\n"),
    ],
)
def test_what_varies_is_replaced(said: str, shown: str) -> None:
    assert sessions.stable(said) == shown


def test_ids_are_replaced_in_order_and_keep_their_length() -> None:
    first, second, again = sessions.stable("msgbatch_01abcdefgh msgbatch_01xyz msgbatch_01abcdefgh").split()
    assert first == again != second
    assert (len(first), len(second)) == (19, 14)


def test_a_picture_holds_the_text_that_it_draws() -> None:
    lines = terminal.plain('$ echo "<a> & b"\n\nwörter ━━')
    assert terminal.shown_in(terminal.svg(lines, "x")) == ['$ echo "<a> & b"', "wörter ━━"]
