"""The least that a promise takes in Python, whoever keeps it: what no check can be quicker than.

python -m benchmarks.floors hash|parse FILE   one SHA-256 of it; one `orjson.loads` for each line; and nothing more
"""

import hashlib
import sys
from pathlib import Path

import orjson


def main(what: str, path: Path) -> None:
    with path.open("rb") as file:
        if what == "hash":
            hashlib.file_digest(file, "sha256")
        else:
            for line in file:
                orjson.loads(line)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
