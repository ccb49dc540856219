"""An input, scanned: what is found, what is told of it, and the copy if one is made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import written

from batchctl.domain.check_report import Depth, Scan
from batchctl.domain.model import Settings
from batchctl.requests.check import scan
from batchctl.requests.cut_builders import CleanCopy
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.scanner import CheckOptions
from batchctl.store.line_maps import unpack


@dataclass
class Scanned:
    scan: Scan
    hashes: set[int]
    problems: list[dict[str, Any]]
    copy: bytes
    numbers: list[int]


def scanned(
    folder: Path,
    data: bytes,
    *,
    copy: bool = False,
    repeats: tuple[int, ...] = (),
    depth: Depth = Depth.FULL,
    **limits: int,
) -> Scanned:
    path = written(folder / "in.jsonl", data)
    problems = ProblemFile(folder / "problems.jsonl")
    requests, numbers = (folder / "copy").open("wb"), (folder / "numbers").open("wb")
    with requests, numbers:
        order = CheckOptions(
            settings=Settings(**limits),  # type: ignore[arg-type]  # numbers only
            scratch=folder,
            depth=depth,
            repeats=frozenset(repeats),
            copy=CleanCopy(requests=requests, numbers=numbers) if copy else None,
        )
        found, hashes = scan(path, order, problems, lambda _: None)
    problems.close()
    told = [json.loads(line) for line in problems.path.read_bytes().splitlines()] if problems.path.exists() else []
    stored = list(unpack("Q", (folder / "numbers").read_bytes())) if copy else []
    return Scanned(found, hashes, told, (folder / "copy").read_bytes(), stored)
