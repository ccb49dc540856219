"""Starts one command and says what it took: python -I -S launcher.py SAID OUT ERR COMMAND...

A process of its own, because a child's peak memory is counted from that of the process it was forked from: measured from
the benchmark itself, nothing would look smaller than the benchmark. This one is as small as Python can be, so what is
below some 10 MB cannot be told apart. Imports nothing of the project.
"""

import json
import os
import sys
import time


def main(said: str, out: str, err: str, command: list[str]) -> None:
    writes = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    begun = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(out, writes, 0o644), 1)
            os.dup2(os.open(err, writes, 0o644), 2)
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - begun
    # Linux counts in KB, macOS in bytes.
    peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with open(said, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would make this process larger
        json.dump(
            {
                "status": os.waitstatus_to_exitcode(status),
                "wall": wall,
                "cpu": used.ru_utime + used.ru_stime,
                "peak_bytes": peak_bytes,
            },
            file,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
