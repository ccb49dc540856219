"""What a job is called."""

import re
from collections.abc import Collection

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def job_name(stem: str, sha256: str, taken: Collection[str]) -> str:
    """`reviews-7f3a`: the input's name and four digits of its hash; a number follows where that is taken."""
    name = f"{stem}-{sha256[:4]}"
    number = 2
    while name in taken:
        name = f"{stem}-{sha256[:4]}-{number}"
        number += 1
    return name


def request_file_name(job: str, round_: int) -> str:
    """The file that `retry --dry-run` and `--edit` write for a person."""
    return f"{job}.round-{round_}.requests.jsonl"


def job_of_request_file(name: str) -> str | None:
    """The job that such a file is of; None for a name of any other form."""
    found = re.fullmatch(rf"({NAME_PATTERN})\.round-\d+\.requests\.jsonl", name)
    return found and found[1]


def name_problem(name: str) -> str:
    """Why a name given by a person cannot be used; empty when it can. It becomes a folder and file names."""
    if not name or re.fullmatch(NAME_PATTERN, name):
        return ""
    return f"--name {name!r}: letters, digits, '.', '_' and '-', at most 64, and a letter or digit first"


def beta_problem(betas: Collection[str]) -> str:
    """Why a value cannot stand in the anthropic-beta header; empty when all can."""
    wrong = next((beta for beta in betas if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", beta)), None)
    return "" if wrong is None else f"--beta {wrong!r}: letters, digits, '.', '_' and '-'"
