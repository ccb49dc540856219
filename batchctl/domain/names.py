"""Names of jobs, and of the files that are named after them."""

import re
from collections.abc import Collection

# Stands for the latest job where a name is expected.
LAST = "@last"
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def job_name(stem: str, sha256: str, taken: Collection[str]) -> str:
    """Return a name for a new job, like `reviews-7f3a`: the input's name and four digits of its hash.

    A number follows where that name is among `taken`.
    """
    name = f"{stem}-{sha256[:4]}"
    number = 2
    while name in taken:
        name = f"{stem}-{sha256[:4]}-{number}"
        number += 1
    return name


def request_file_name(job: str, round_: int) -> str:
    """Return the name of the file that `retry --dry-run` and `--edit` write for a person."""
    return f"{job}.round-{round_}.requests.jsonl"


def job_of_request_file(name: str) -> str | None:
    """Return the job of such a file, None for a name of another form."""
    match = re.fullmatch(rf"({NAME_PATTERN})\.round-\d+\.requests\.jsonl", name)
    return match and match[1]


def name_problem(name: str) -> str:
    """Return why a name that a person gave cannot be a folder and a file name, empty where it can."""
    if not name or re.fullmatch(NAME_PATTERN, name):
        return ""
    return f"--name {name!r}: use at most 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
