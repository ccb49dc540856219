"""Starts one command and says what it took: python -I -S launcher.py SAID OUT ERR COMMAND...

It is a process of its own, because the system counts a child's peak memory from that of its parent: a child of the
benchmark would never look smaller than the benchmark. This process is as small as Python can be, some 10 MB, and imports
nothing of the project.
"""

import _thread
import json
import os
import sys
import time

PAGE = os.sysconf("SC_PAGE_SIZE")
MAX_PAUSE = 0.1


def main(said: str, out: str, err: str, command: list[str]) -> None:
    writes = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    others = set(processes())
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
    highest = [(0, 1)]
    _thread.start_new_thread(watch, (child, others, highest))
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - begun
    # Linux counts in KB, macOS in bytes.
    peak_bytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    held_bytes, count = highest[0]
    found = {
        "status": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_bytes": peak_bytes,
        # Where there is no /proc, what the system counted for the first process has to do.
        "held_bytes": held_bytes or peak_bytes,
        "processes": count,
    }
    with open(said, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would make this process larger
        json.dump(found, file)


def watch(child: int, others: set[str], highest: list[tuple[int, int]]) -> None:
    """Keep in `highest` the most that `child` and its descendants held together, and how many processes they were."""
    begun, family = time.perf_counter(), {str(child)}
    while True:
        held = count = 0
        for pid in processes():
            if pid not in others:
                try:
                    if pid in family or parent(pid) in family:
                        family.add(pid)
                        _, resident, shared, *_ = map(int, read(pid, "statm").split())
                        held += (resident - shared) * PAGE
                        # Python's own helper does no work of the program.
                        count += b"resource_tracker" not in read(pid, "cmdline")
                except OSError:
                    continue
        highest[0] = max(highest[0], (held, count))
        # A short command is looked at more often: it would end between two looks.
        time.sleep(min(MAX_PAUSE, 0.01 + (time.perf_counter() - begun) / 20))


def processes() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as above
    except OSError:
        return []


def parent(pid: str) -> str:
    return read(pid, "stat").rpartition(b")")[2].split()[1].decode()


def read(pid: str, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123 - as above
        return file.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
