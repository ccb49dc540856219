"""Counts in messages: the helper that says them, and the rule that every message uses it."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from batchctl.domain.wording import of_total, plural

PACKAGE = Path(__file__).parents[2] / "batchctl"
NOUNS = "requests|batches|lines|results|answers|jobs|warnings|errors|custom_ids|models|rounds|refusals|rejections|problems|files"
AFTER_A_NUMBER = re.compile(rf" (?:(?!of|with|holds)\w+ )?(?:{NOUNS})\b")
# Texts in which a name, not a number, stands before such a word, and numbers that are never 1.
NO_COUNTS = {
    ("engine/match_rules.py", " answers differ)"),
    ("engine/match_rules.py", " answers"),
    ("render/events.py", " lines, first "),
    ("verbs/find_job.py", " jobs: "),
    ("verbs/retry.py", " still has batches"),
}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, ("0 requests", "0 batches are", "0 of 2 batches")),
        (1, ("1 request", "1 batch is", "1 of 2 batches")),
        (2, ("2 requests", "2 batches are", "2 of 2 batches")),
        (1000, ("1,000 requests", "1,000 batches are", "1,000 of 2 batches")),
    ],
)
def test_a_count_agrees_with_its_words(count: int, said: tuple[str, str, str]) -> None:
    assert (plural(count, "request"), plural(count, "batch is", "batches are"), of_total(count, 2, "batch")) == said


def test_a_part_agrees_with_the_whole() -> None:
    assert [of_total(1, total, "batch") for total in (0, 1, 2)] == ["1 of 0 batches", "1 of 1 batch", "1 of 2 batches"]


def _counts(code: str, name: str) -> Iterator[tuple[int, str]]:
    """The places in the code of a file where a value is followed by a plural that would stay one beside 1."""
    for node in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.JoinedStr)):
        for value, text in pairwise(node.values):
            is_helped = isinstance(value, ast.FormattedValue) and ast.unparse(value.value).startswith(
                ("plural(", "of_total(")
            )
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant) and not is_helped:
                said = AFTER_A_NUMBER.match(str(text.value))
                if said and not any(name == file and str(text.value).startswith(words) for file, words in NO_COUNTS):
                    yield node.lineno, str(text.value)


# The emulator speaks as the API does.
FILES = [path for path in PACKAGE.rglob("*.py") if not {"emulator", "migrations"} & {*path.parts}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_message_with_a_count_is_right_for_one(path: Path) -> None:
    assert list(_counts(path.read_text("utf-8"), path.relative_to(PACKAGE).as_posix())) == []


def test_the_rule_finds_a_count_without_the_helper() -> None:
    right = """f"{plural(n, 'request')} of {job.name} left" """
    assert [said for _, said in _counts('f"{n:,} requests are left"', "any.py")] == [" requests are left"]
    assert list(_counts(right, "any.py")) == []
