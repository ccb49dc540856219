"""Stopping the program at the k-th stop point: just before or just after one of its effects.

An effect is what outlives the program: a file made, forced to the disk, given a name, linked or removed; a commit of the
ledger; a call that changes something at the API. The seams lie below the program (the os module, SQLAlchemy's dialect, the
HTTP client), so that an effect added to it later is caught without being listed here.
"""

import builtins
import contextlib
import fcntl
import io
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import pytest
from sqlalchemy.engine.default import DefaultDialect

from batchctl.clock import Clock, StopSignal

# What each does to a name, or to the file behind a descriptor; and which of its arguments is the place.
OF_A_PLACE = ("fsync", "fdatasync", "ftruncate", "truncate", "mkdir", "rmdir", "unlink", "remove", "chmod")
OF_TWO_PLACES = ("rename", "replace", "link", "symlink")
READS = frozenset({"GET", "HEAD"})
GRACE_VARIABLE = "BATCHCTL_UNCONFIRMED_GRACE"


class Pulled(BaseException):
    """The plug was pulled. No `except Exception` of the program may see it; its `finally` blocks do run."""


def pull(what: str) -> NoReturn:
    raise Pulled(what)


def kill(_: str) -> None:
    """The true thing: nothing of this process runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


class Stops:
    """Counts the stop points of whatever happens under `folder`, at the ledger and at the API; stops at number `at`.

    `at` 0 only counts. Uploads run in threads: the count is one for all of them.
    """

    def __init__(self, folder: Path, at: int = 0, stop: Callable[[str], object] = pull) -> None:
        self.passed: list[str] = []
        self.fired = ""
        self._folder = folder.resolve()
        self._at = at
        self._stop = stop
        self._counting = threading.Lock()

    def point(self, what: str) -> None:
        with self._counting:
            self.passed.append(what)
            is_here = len(self.passed) == self._at
        if is_here:
            self.fired = what
            self._stop(what)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in (*OF_A_PLACE, *OF_TWO_PLACES):
                if real := getattr(os, name, None):
                    patch.setattr(os, name, self._on_disk(name, real, int(name in OF_TWO_PLACES)))
            patch.setattr(os, "open", self._making(os.open, _makes_by_flags))
            for module in (io, builtins):
                patch.setattr(module, "open", self._making(io.open, _makes_by_mode))
            patch.setattr(DefaultDialect, "do_commit", self._committing(DefaultDialect.do_commit))
            patch.setattr(httpx2.Client, "send", self._sending(httpx2.Client.send))
            yield

    def _on_disk(self, name: str, real: Callable[..., Any], place: int) -> Callable[..., Any]:
        def carried_out(*given: Any, **more: Any) -> Any:
            where = self._within(given[place], more.get("dst_dir_fd" if place else "dir_fd"))
            if where is None or not _changes(name, self._folder / where, given):
                return real(*given, **more)
            what = f"{name} {self._within(given[0], more.get('src_dir_fd'))} to {where}" if place else f"{name} {where}"
            self.point(f"before {what}")
            done = real(*given, **more)
            self.point(f"after {what}")
            return done

        return carried_out

    def _making(self, real: Callable[..., Any], makes: Callable[..., bool]) -> Callable[..., Any]:
        """Opening that makes a file, or empties one."""

        def opened(file: Any, *given: Any, **more: Any) -> Any:
            where = None if isinstance(file, int) else self._within(file, more.get("dir_fd"))
            if where is None or not makes(os.path.lexists(file), *given, **more):
                return real(file, *given, **more)
            self.point(f"before making {where}")
            made = real(file, *given, **more)
            try:
                self.point(f"after making {where}")
            except Pulled:
                # Only a killed process has its files closed by somebody else.
                os.close(made) if isinstance(made, int) else made.close()
                raise
            return made

        return opened

    def _committing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def commit(dialect: Any, connection: Any) -> None:
            self.point("before a commit")
            real(dialect, connection)
            self.point("after a commit")

        return commit

    def _sending(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def send(client: httpx2.Client, request: httpx2.Request, **more: Any) -> Any:
            if request.method in READS:
                return real(client, request, **more)
            what = f"{request.method} {request.url.path}"
            self.point(f"before {what}")
            request.stream = _Counted(request.stream, lambda: self.point(f"within {what}"))
            answer = real(client, request, **more)
            try:
                self.point(f"after {what}")
            except Pulled:
                answer.close()
                raise
            return answer

        return send

    def _within(self, place: Any, folder: int | None) -> str | None:
        """The place as seen from the folder that is watched; None where it lies elsewhere."""
        if isinstance(place, int):
            path = _path_of(place)
        else:
            path = (_path_of(folder) if folder is not None else Path.cwd()) / os.fsdecode(place)
        return str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else None


class _Counted(httpx2.SyncByteStream):
    """A body with a stop point before each of its pieces but the first: a part of it has left us."""

    def __init__(self, body: Any, point: Callable[[], None]) -> None:
        self._body, self._point = body, point

    def __iter__(self) -> Iterator[bytes]:
        for number, piece in enumerate(self._body):
            if number:
                self._point()
            yield piece


def _changes(name: str, path: Path, given: tuple[Any, ...]) -> bool:
    """Whether it does anything: what is there already is not made, what is not there is not removed."""
    if name == "mkdir":
        return not path.is_dir()
    if name in {"rmdir", "unlink", "remove"}:
        return os.path.lexists(path)
    if name in {"truncate", "ftruncate"}:
        return bool(path.stat().st_size != given[1])
    return True


def _makes_by_flags(is_there: bool, flags: int, *_: Any, **__: Any) -> bool:  # noqa: FBT001 - an answer, not a switch
    return bool(flags & os.O_TRUNC or (flags & os.O_CREAT and not is_there))


def _makes_by_mode(is_there: bool, mode: str = "r", *_: Any, **__: Any) -> bool:  # noqa: FBT001 - as above
    return "w" in mode or "x" in mode or ("a" in mode and not is_there)


def _path_of(descriptor: int) -> Path:
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    except OSError:
        assert hasattr(fcntl, "F_GETPATH"), "nobody can say which file this is"
        return Path(os.fsdecode(fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Every pause as short as a test needs it; a longer one is a hang. For this process, or for a child of a fork."""
    waits = Clock.wait_until

    def wait_until(self: Clock, at: datetime, stop: StopSignal) -> bool:
        assert at - self.now() < timedelta(seconds=5), "a person would sit and wait"
        return waits(self, at, stop)

    with pytest.MonkeyPatch.context() as patch:
        if GRACE_VARIABLE not in os.environ:
            # Longer than the emulator ever needs for a create whose sender is dead.
            patch.setenv(GRACE_VARIABLE, "0.5")
        patch.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=0.02))
        patch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
        patch.setattr("batchctl.engine.next_steps.OTHERS_PAUSE", timedelta(seconds=0.05))
        for module in ("reconciler", "download", "send", "poll"):
            patch.setattr(f"batchctl.engine.{module}.backoff", lambda *_: 0.02)
        patch.setattr(Clock, "wait_until", wait_until)
        # A third of a short command's time, and nobody here speaks TLS.
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
        yield
