"""The paths of a workspace, and what a workspace must be to be used.

.batchctl/
├── ledger.db
├── models.json              what the API said of its models, for a day
├── planning.lock            held by the one process that plans
├── prices.toml              private prices, written by a person: they may only tighten a limit
├── prices.json              a price list that was fetched without a home to keep it in; it, too, only tightens
├── owners/                  a lock per running process
├── problems/NAME.jsonl      the problems of an input that was not sent
├── tmp/                     unfinished copies
└── jobs/NAME/
    ├── round-1.requests.jsonl      the input: a clone, copy or link of it, or the clean copy; of attached batches the
    │                               lines by batch, once they are known, then those in no batch
    ├── round-1.lines               line map: line numbers, where they differ from the position
    ├── left-out.jsonl              lines that are not sent, with the reason: --skip-bad, or in no attached batch
    ├── round-2.OWNER.requests.jsonl  a retry, rebuilt from the original bytes by the process OWNER
    ├── round-2.OWNER.origins         line map: which request of round 1 each of them is
    ├── outputs                      size and time of each file that was written for a person
    └── raw/round-1.000000000.jsonl results as the API sent them, and their .index; .unverified: not what they should be
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.domain.model import Batch, Job
from batchctl.store.local import PRIVATE_FOLDER, LocalStore, disk, sync_folder
from batchctl.store.protocol import Store

FOLDER = ".batchctl"
LOCK = "planning.lock"
# What a command without a job leaves in a workspace that it made.
LEFT_EMPTY = frozenset({
    ".gitignore", LOCK, "jobs", "ledger.db", "ledger.db-journal", "ledger.db-shm", "ledger.db-wal", "models.json", "owners",
    "problems", "tmp",
})  # fmt: skip
_REBUILT = re.compile(r"round-\d+\.(?P<owner>.+)\.(?:requests\.jsonl|origins)(?:\.part)?")


def find_workspace(named: Path | None, start: Path) -> Path:
    """Return the named folder, else the nearest `.batchctl` from `start` upwards, else the one to be made in `start`.

    Raises UsageProblem for the home of a user who does not exist.
    """
    if named is not None:
        try:
            return named.expanduser().absolute()
        except RuntimeError:
            raise UsageProblem(f"--workspace {named}: no such user") from None
    return next((f / FOLDER for f in (start, *start.parents) if (f / FOLDER).is_dir()), start / FOLDER)


def cached_price_list(environment: Mapping[str, str]) -> Path | None:
    """Return where a fetched price list is kept outside of a workspace; None without a home."""
    cache, home = Path(environment.get("XDG_CACHE_HOME", "")), Path(environment.get("HOME", ""))
    folder = cache if cache.is_absolute() else home / ".cache"
    return folder / "batchctl" / "prices.json" if folder.is_absolute() else None


def user_prices(environment: Mapping[str, str]) -> Path | None:
    """Return where a person keeps private prices for all workspaces; None without a home."""
    settings, home = Path(environment.get("XDG_CONFIG_HOME", "")), Path(environment.get("HOME", ""))
    folder = settings if settings.is_absolute() else home / ".config"
    return folder / "batchctl" / "prices.toml" if folder.is_absolute() else None


class Workspace:
    """The folder at `root`, which need not exist before `make`. `files` is its store, by names relative to `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = root / "ledger.db"
        self.owners = root / "owners"
        self.private_prices = root / "prices.toml"
        self.price_list = root / "prices.json"
        self.files: Store = LocalStore(root)
        # Whether `make` made the folder, and which ledger it found or made.
        self.is_new = False
        self._ledger_made: tuple[int, int] | None = None

    def exists(self) -> bool:
        """Return whether there is a ledger."""
        return self.ledger.exists()

    def refuse_links_out(self) -> None:
        """Raise UsageProblem where a symbolic link in the workspace leads out of it, whether or not to something that exists.

        A workspace is found upwards from wherever a person stands: what it links to was chosen by whoever made it.
        """
        home = self.root.resolve()
        for link in _links(self.root):
            if not _target(link).is_relative_to(home):
                raise UsageProblem(
                    f"{link}: the link leads out of the workspace, to {str(link.readlink())!r};"
                    " nothing was read or changed",
                    hint="move a workspace as a whole, then pass --workspace DIR; if it came from somebody else, use your own",
                )

    def make(self) -> None:
        """Make the folders, a .gitignore and an empty ledger, each where it is missing. Raises DiskProblem."""
        with disk(self.root):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.root.mkdir(mode=PRIVATE_FOLDER)
                self.is_new = True
            for folder in (self.root / "jobs", self.root / "tmp", self.root / "problems"):
                folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            if self.files.stat(".gitignore") is None:
                self.files.put(".gitignore", b"# prompts and answers are private\n*\n")
            if not self.ledger.exists():
                os.close(os.open(self.ledger, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            self._ledger_made = _identity(self.ledger.stat())

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """Keep all other processes from planning: two that plan the same input at once would send it twice.

        Raises DiskProblem where another command has removed the workspace meanwhile, for it was empty.
        """
        lock = self._open_lock()
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_removed(lock):
                raise DiskProblem(
                    f"{self.root}: another command removed this empty workspace", hint="run the same command again"
                )
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def planning_if_free(self) -> Iterator[bool]:
        """Do as `planning` does, but give False, and wait for nobody, where another process plans or locks do not work here."""
        lock = self._open_lock()
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield not self._is_removed(lock)
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        path = self.root / LOCK
        with disk(path):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_removed(self, lock: int) -> bool:
        """Return whether the folder is no longer that of the lock and of the ledger that was opened.

        Both stay open, so that no other file can have their place on the disk.
        """
        try:
            ledger, here = self.ledger.stat(), (self.root / LOCK).stat()
        except OSError:
            return True
        return _identity(here) != _identity(os.fstat(lock)) or self._ledger_made not in {None, _identity(ledger)}

    def holds_nothing(self, owner: str) -> bool:
        """Return whether there is nothing in it but what `make` and a command of `owner` without a job leave."""
        left = {path.name for path in self.root.iterdir()}
        inner = [path for name in ("jobs", "owners", "problems", "tmp") for path in (self.root / name).glob("*")]
        return left <= LEFT_EMPTY and all(path.name.startswith(owner) and path.parent == self.owners for path in inner)

    def remove(self) -> None:
        """Remove the folder with all that is in it. The caller holds `planning_if_free`, and has closed the ledger.

        It loses its name first, in one step: whoever has it open does not take half of it for the whole.
        """
        gone = self.root.with_name(f"{self.root.name}.{secrets.token_hex(4)}.removed")
        with contextlib.suppress(OSError):
            self.root.rename(gone)
            shutil.rmtree(gone)

    def need(self) -> None:
        """Raise UsageProblem where there is no workspace."""
        if not self.exists():
            raise UsageProblem(
                f"no workspace: {self.root} does not exist",
                hint="create one: batchctl submit INPUT.jsonl; or pass --workspace DIR",
            )

    def job_folder(self, name: str) -> Path:
        """Return the folder of a job, made where it is missing. Raises DiskProblem."""
        folder = self.root / "jobs" / name
        with disk(folder):
            for made in (folder, folder / "raw"):
                if not made.exists():
                    made.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                    sync_folder(made.parent)
        return folder

    def temporary(self, name: str) -> Path:
        """Return the path of an unfinished copy."""
        return self.root / "tmp" / name

    def problems(self, name: str) -> Path:
        """Return the problem file of an input that was not sent; `name` is that of its job."""
        return self.root / "problems" / f"{name}.jsonl"

    def requests(self, name: str, number: int, owner: str = "") -> Path:
        """Return the request file of round `number`. `owner` keeps apart what two processes rebuild at once."""
        return self.job_folder(name) / f"round-{number}{owner and '.'}{owner}.requests.jsonl"

    def lines(self, name: str) -> Path:
        """Return the line map of round 1: the line of the input for each request."""
        return self.root / "jobs" / name / "round-1.lines"

    def left_out(self, name: str) -> Path:
        """Return the problem file of the lines that are not sent."""
        return self.root / "jobs" / name / "left-out.jsonl"

    def outputs(self, name: str) -> Path:
        """Return the list of the files that the job wrote for a person."""
        return self.job_folder(name) / "outputs"

    def rebuilt(self, name: str, number: int) -> Iterator[tuple[Path, str]]:
        """Yield each file that was rebuilt for a round, recorded or not, with its owner."""
        for path in self.job_folder(name).glob(f"round-{number}.*.*"):
            # An owner's name holds dots, too.
            if match := _REBUILT.fullmatch(path.name):
                yield path, match["owner"]

    def origins(self, request_file: Path) -> Path:
        """Return the line map beside a rebuilt request file: the position in round 1 of each request."""
        return request_file.with_name(request_file.name.replace(".requests.jsonl", ".origins"))

    def raw(self, job: Job, batch: Batch) -> Path:
        """Return where the results of a batch lie as they came."""
        # Named by place, not by the API's id: a text from outside is never a path.
        return self.root / "jobs" / job.name / "raw" / f"round-{batch.round}.{batch.cut.first:09d}.jsonl"

    def index(self, job: Job, batch: Batch) -> Path:
        """Return the index beside the raw results: see `results.downloaded`."""
        return self.raw(job, batch).with_suffix(".index")

    def resolve(self, stored: str) -> Path:
        """Return the path that the ledger keeps as `stored`: absolute, or relative to the workspace."""
        return self.root / stored

    def stored_path(self, path: Path) -> str:
        """Return `path` as the ledger keeps it, so that a workspace that is moved as a whole finds its own files."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def sweep(self, before: float) -> None:
        """Remove copies that a killed process left, older than `before`, in seconds since the epoch."""
        for copy in (self.root / "tmp").glob("*"):
            with contextlib.suppress(OSError):
                if copy.stat().st_mtime < before:
                    copy.unlink()


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _links(folder: Path) -> Iterator[Path]:
    """Yield all symbolic links in a folder and the folders in it; none is followed."""
    folders = [folder]
    while folders:
        # What is gone meanwhile, and what may not be read, is not used either.
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))


def _target(link: Path) -> Path:
    """Return where a link leads; the root of the file system for links that lead in a circle."""
    try:
        target = link.resolve()
    except (RuntimeError, OSError):
        return Path("/")
    return Path("/") if target.is_symlink() else target
