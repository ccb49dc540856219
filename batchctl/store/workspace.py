"""Every path the program uses.

.batchctl/
├── ledger.db
├── models.json              what the API said of its models, for a day
├── planning.lock            one process plans at a time
├── prices.toml              private prices, written by a person: a limit may only become tighter by them
├── prices.json              a price list that was fetched without a home to keep it in: the same
├── owners/                  a lock per running process
├── problems/NAME.jsonl      what the check found in an input that was not sent
├── tmp/                     copies under way
└── jobs/NAME/
    ├── round-1.requests.jsonl      the input: a clone, copy or link of it, or the cleaned copy; for batches made
    │                               elsewhere its lines by batch, once they are known, then those in no batch
    ├── round-1.lines               line numbers, where they differ from the position
    ├── left-out.jsonl              the lines that --skip-bad left out, or in no attached batch and not to be sent, with the reason
    ├── round-2.OWNER.requests.jsonl  a retry, rebuilt from the original bytes by this process
    ├── round-2.OWNER.origins         which request of round 1 each of them is
    ├── outputs                      length and time of each file that was written for a person
    └── raw/round-1.000000000.jsonl results as the API sent them, and their .index; .unverified: not what they should be
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Batch, Job
from batchctl.store.local import PRIVATE_FOLDER, disk, place, replacing, sync_folder

FOLDER = ".batchctl"
_REBUILT = re.compile(r"round-\d+\.(?P<owner>.+)\.(?:requests\.jsonl|origins)(?:\.part)?")


def find_workspace(named: Path | None, start: Path) -> Path:
    """The named one, else the nearest `.batchctl` from `start` upwards, else the one `submit` would make in `start`."""
    if named is not None:
        try:
            return named.expanduser().absolute()
        except RuntimeError:
            raise UsageProblem(f"--workspace {named}: no such user") from None
    return next((f / FOLDER for f in (start, *start.parents) if (f / FOLDER).is_dir()), start / FOLDER)


def cached_price_list(environment: Mapping[str, str]) -> Path | None:
    """Where a fetched price list is kept without a workspace; None for somebody without a home."""
    cache, home = Path(environment.get("XDG_CACHE_HOME", "")), Path(environment.get("HOME", ""))
    folder = cache if cache.is_absolute() else home / ".cache"
    return folder / "batchctl" / "prices.json" if folder.is_absolute() else None


def user_prices(environment: Mapping[str, str]) -> Path | None:
    """Where a person keeps private prices for all workspaces; None for somebody without a home."""
    settings, home = Path(environment.get("XDG_CONFIG_HOME", "")), Path(environment.get("HOME", ""))
    folder = settings if settings.is_absolute() else home / ".config"
    return folder / "batchctl" / "prices.toml" if folder.is_absolute() else None


class Workspace:
    """The folder at `root`; it need not exist before `make`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = root / "ledger.db"
        self.owners = root / "owners"
        self.private_prices = root / "prices.toml"
        self.price_list = root / "prices.json"
        self.models = root / "models.json"

    def exists(self) -> bool:
        return self.ledger.exists()

    def refuse_links_out(self) -> None:
        """Raises UsageProblem where a symbolic link in it leads elsewhere, to something that is there or not.

        A workspace is found upwards from wherever a person stands: what it links to was chosen by whoever made it.
        """
        home = self.root.resolve()
        for link in _links(self.root):
            if not _target(link).is_relative_to(home):
                raise UsageProblem(
                    f"{link}: a symbolic link that leads out of the workspace, to {str(link.readlink())!r};"
                    " nothing was read or changed",
                    hint="a workspace is moved as a whole, then named with --workspace DIR; if it came with a repository or"
                    " from somebody else, name one of your own",
                )

    def make(self) -> None:
        with disk(self.root):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.root, self.root / "jobs", self.root / "tmp", self.root / "problems"):
                folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                # Whole or not at all: an empty one would be taken for it ever after.
                new = self.temporary(f"{os.getpid()}.gitignore")
                with replacing(new) as file:
                    file.write(b"# prompts and answers are private\n*\n")
                place(new, ignore)
            if not self.ledger.exists():
                os.close(os.open(self.ledger, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """One process plans at a time: two that plan the same input at once would send it twice."""
        path = self.root / "planning.lock"
        with disk(path):
            lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def need(self) -> None:
        """Raises UsageProblem where there is nothing to read."""
        if not self.exists():
            raise UsageProblem(
                f"no workspace here: {self.root} does not exist",
                hint="batchctl submit INPUT.jsonl makes one; or name one with --workspace",
            )

    def job_folder(self, name: str) -> Path:
        folder = self.root / "jobs" / name
        with disk(folder):
            for made in (folder, folder / "raw"):
                if not made.exists():
                    made.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                    sync_folder(made.parent)
        return folder

    def temporary(self, name: str) -> Path:
        return self.root / "tmp" / name

    def problems(self, name: str) -> Path:
        return self.root / "problems" / f"{name}.jsonl"

    def requests(self, name: str, number: int, owner: str = "") -> Path:
        """`owner` keeps apart what two processes rebuild at once, until one of them has recorded its round."""
        return self.job_folder(name) / f"round-{number}{owner and '.'}{owner}.requests.jsonl"

    def lines(self, name: str) -> Path:
        return self.root / "jobs" / name / "round-1.lines"

    def left_out(self, name: str) -> Path:
        return self.root / "jobs" / name / "left-out.jsonl"

    def outputs(self, name: str) -> Path:
        return self.job_folder(name) / "outputs"

    def rebuilt(self, name: str, number: int) -> Iterator[tuple[Path, str]]:
        """What was rebuilt for a round, whether or not it came to be one: each file with its owner."""
        for path in self.job_folder(name).glob(f"round-{number}.*.*"):
            # An owner's name holds dots, too.
            if found := _REBUILT.fullmatch(path.name):
                yield path, found["owner"]

    def origins(self, request_file: Path) -> Path:
        return request_file.with_name(request_file.name.replace(".requests.jsonl", ".origins"))

    def raw(self, job: Job, batch: Batch) -> Path:
        # Named by place, not by the API's id: a text from outside is never a path.
        return self.root / "jobs" / job.name / "raw" / f"round-{batch.round}.{batch.cut.first:09d}.jsonl"

    def index(self, job: Job, batch: Batch) -> Path:
        return self.raw(job, batch).with_suffix(".index")

    def resolve(self, stored: str) -> Path:
        """A path as the ledger keeps it: absolute, or under the workspace."""
        return self.root / stored

    def store(self, path: Path) -> str:
        """So that a workspace that is moved as a whole still finds its own files."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def sweep(self, before: float) -> None:
        """Removes copies that a process left when it was killed, older than `before` (seconds since the epoch)."""
        for left in (self.root / "tmp").glob("*"):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < before:
                    left.unlink()


def _links(folder: Path) -> Iterator[Path]:
    """All symbolic links in a folder and the folders in it; none is followed."""
    folders = [folder]
    while folders:
        # What went meanwhile, and what may not be read, is not used either.
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for one in found:
                if one.is_symlink():
                    yield Path(one.path)
                elif one.is_dir(follow_symlinks=False):
                    folders.append(Path(one.path))


def _target(link: Path) -> Path:
    """The root for links that lead in a circle: they lead nowhere."""
    try:
        target = link.resolve()
    except (RuntimeError, OSError):
        return Path("/")
    return Path("/") if target.is_symlink() else target
