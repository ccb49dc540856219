"""On what it was measured: the machine, the versions, the day."""

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measuring import PROJECT


def described(folder: Path) -> Iterator[tuple[str, str]]:
    """What and its value, for people to read. `folder`: where everything was written."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    yield "date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "machine", f"{_cpu()}, {os.cpu_count()} cores, {_memory_gb()} GB memory; load of the minutes before: {load}"
    yield "system", f"{platform.system()} {platform.release()}, files on {_file_system(folder)}"
    yield "Python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    yield "packages", ", ".join(f"{name} {version(name)}" for name in ("anthropic", "orjson", "httpx2", "sqlalchemy"))
    yield "batchctl", _commit()


def _cpu() -> str:
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:
        told = None
    return told[1] if told else platform.processor() or platform.machine()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9)


def _file_system(folder: Path) -> str:
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return "an unknown file system"
    mounts = [(place, kind) for _, place, kind, *_ in map(str.split, lines) if folder.is_relative_to(place)]
    return max(mounts, key=lambda mount: len(mount[0]))[1]


def _commit() -> str:
    found = [_git("rev-parse", "--short", "HEAD"), "with changes" if _git("status", "--porcelain", "batchctl") else ""]
    return f"{version('batchctl')}, commit {' '.join(filter(None, found)) or 'unknown'}"


def _git(*words: str) -> str:
    try:
        told = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()
