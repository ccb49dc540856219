"""The least that two of the promises take in Python, whoever keeps them: what no check can be quicker than.

python -m benchmarks.floors hash|parse FILE...   one SHA-256 of each; one `orjson.loads` for each line, and nothing more
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson


def main(what: str, paths: Sequence[str]) -> None:
    for path in paths:
        with Path(path).open("rb") as file:
            if what == "hash":
                hashlib.file_digest(file, "sha256")
            else:
                for line in file:
                    orjson.loads(line)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
