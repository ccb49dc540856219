"""`doctor`: everything a job rests on, looked at one thing at a time. What is broken is a line, and hides no other."""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from batchctl import __version__
from batchctl.api.client import SdkMessageBatches, is_loopback_url
from batchctl.api.protocol import MessageBatches
from batchctl.api.secrets import shown_url
from batchctl.clock import Clock
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, CertificateProblem
from batchctl.domain.health import (
    Checkup,
    Finding,
    clock_finding,
    fail,
    ledger_findings,
    leftovers_finding,
    locks_finding,
    next_command,
    ok,
    open_files_finding,
    permissions_finding,
    reach_finding,
    redacted,
    room_finding,
    secrets,
    warn,
)
from batchctl.ledger import checkup as ledger_checkup
from batchctl.ledger.engine import WAL_IS_SAFE_SINCE, journal_mode
from batchctl.ledger.schema import REVISIONS
from batchctl.store import probing
from batchctl.store.workspace import Workspace, find_workspace

PATIENCE_SECONDS = 30.0
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
HINT = "see the message; if it makes no sense, report it with the lines above"

Look = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What to look at. `workspace` and `base_url` as a person named them, None where they did not.

    `insecure_http`: they say that the key may travel readable.
    """

    workspace: Path | None
    base_url: str | None
    insecure_http: bool = False
    environment: Mapping[str, str]
    clock: Clock
    offline: bool


def doctor(patient: Patient) -> Checkup:
    hidden = secrets(patient.environment, patient.base_url or "")
    looks: list[tuple[str, Look]] = [
        ("versions", _versions),
        ("proxies", lambda: [_proxies(patient)]),
        ("api", lambda: _api(patient)),
        ("open files", lambda: [open_files_finding(probing.open_files())]),
        ("workspace", lambda: _workspace(patient)),
    ]
    findings = tuple(redacted(found, hidden) for subject, look in looks for found in _polled(subject, look))
    return Checkup(findings=findings, next_command=next_command(findings))


def _polled(subject: str, look: Look) -> Iterator[Finding]:
    """What it found, and what stopped it, if anything did: of many findings those before the stop are kept."""
    try:
        yield from look()
    except BatchctlError as problem:
        yield fail(subject, problem.message, problem.hint or HINT, is_account=isinstance(problem, AccountProblem))
    except OSError as error:
        yield fail(subject, f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "), HINT)
    except Exception as error:  # noqa: BLE001 - a bug here is a line of the report as well: it is asked for when all is odd
        yield fail(subject, f"{type(error).__name__}: {error}", HINT)


# ---------------------------------------------------------------- the program


def _versions() -> Iterator[Finding]:
    mode = journal_mode()
    yield ok(
        "versions",
        f"batchctl {__version__}, Python {platform.python_version()}, anthropic {_version_of('anthropic')},"
        f" {ssl.OPENSSL_VERSION}",
    )
    yield ok("platform", f"{platform.platform()}, {sys.implementation.name}")
    since = ".".join(map(str, WAL_IS_SAFE_SINCE))
    why = "" if mode == "WAL" else f": WAL can be corrupted before {since}"
    yield ok("sqlite", f"{sqlite3.sqlite_version}, journal {mode}{why}")


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


# ---------------------------------------------------------------- the API


def _proxies(patient: Patient) -> Finding:
    environment = patient.environment
    found = {name: environment.get(name) or environment.get(name.lower()) for name in PROXIES}
    said = [f"{name}={value if name == 'NO_PROXY' else shown_url(value)}" for name, value in found.items() if value]
    if not any(not one.startswith("NO_PROXY") for one in said):
        return ok("proxies", "none in the environment")
    return ok("proxies", ", ".join(said))


def _api(patient: Patient) -> Iterator[Finding]:
    message_batches = SdkMessageBatches(
        patient.base_url,
        patience=PATIENCE_SECONDS,
        longest=PATIENCE_SECONDS,
        insecure_http=patient.insecure_http,
    )
    try:
        yield from _polled("credential", lambda: [_credential(message_batches)])
        yield from _base_url(patient, message_batches)
        if patient.offline:
            yield ok("reach", "not asked (--offline)")
        else:
            yield from _reach(patient, message_batches)
    finally:
        message_batches.close()


def _credential(message_batches: MessageBatches) -> Finding:
    found = message_batches.credential()
    if not found.source:
        return fail(
            "credential",
            "none was found",
            "export ANTHROPIC_API_KEY=..., or `ant auth login`; batchctl emulator needs any key",
            is_account=True,
        )
    if found.is_blank_at_an_end:
        return fail(
            "credential",
            f"{found.source} begins or ends with white space",
            "often a newline that came with it from a file: set it again without",
            is_account=True,
        )
    hidden = f"; it hides {', '.join(found.unused)}" if found.unused else ""
    headers = f"; ANTHROPIC_CUSTOM_HEADERS adds {', '.join(found.headers)}" if found.headers else ""
    return ok("credential", f"{found.source}{hidden}{headers}")


def _base_url(patient: Patient, message_batches: MessageBatches) -> Iterator[Finding]:
    """In use, and who says so. Where the credential cannot be read, the SDK cannot say it either."""
    environment = patient.environment.get("ANTHROPIC_BASE_URL")
    how = "--base-url" if patient.base_url else "ANTHROPIC_BASE_URL" if environment else "the SDK's, or the profile's"
    try:
        url = message_batches.base_url or message_batches.credential().base_url
    except AccountProblem:
        url = ""
    no_proxy = ", without a proxy" if is_loopback_url(url) else ""
    said = f"{shown_url(url) or 'not known'} ({how}){no_proxy}"
    if url.lower().startswith("http:") and not no_proxy:
        yield warn(
            "base URL", f"{said}: the key travels readable", "use https, unless everybody on the way may read it"
        )
    else:
        yield ok("base URL", said)


def _reach(patient: Patient, message_batches: MessageBatches) -> Iterator[Finding]:
    clock = patient.clock
    began = clock.monotonic()
    try:
        page = message_batches.page(limit=1)
    except CertificateProblem as problem:
        yield fail("reach", problem.message, problem.hint, is_account=True)
        return
    except AccountProblem as problem:
        yield warn("reach", f"not asked: {problem.message}", "mend the credential first")
        return
    except ApiFailure as failure:
        yield reach_finding(failure)
        return
    took = clock.monotonic() - began
    account = f", {page.account}" if page.account else ""
    yield ok("reach", f"answered in {took * 1000:.0f} ms{account}")
    # The header tells whole seconds, cut: half of one is the best guess, and so is the middle of the way.
    skew = None if page.server_time is None else clock.now() - page.server_time
    yield clock_finding(skew)


# ---------------------------------------------------------------- the workspace


def _workspace(patient: Patient) -> Iterator[Finding]:
    workspace = Workspace(find_workspace(patient.workspace, Path.cwd()))
    root = workspace.root
    if not root.exists():
        yield ok("workspace", f"none here; `batchctl submit` makes {root}")
        yield room_finding(probing.room(root))
        return
    workspace.refuse_links_out()
    looks: list[tuple[str, Look]] = [
        ("workspace", lambda: [ok("workspace", str(root))]),
        ("permissions", lambda: [permissions_finding(probing.modes(workspace))]),
        ("writes", lambda: _writes(workspace)),
        ("locks", lambda: [locks_finding(has_locks=probing.lock(root))]),
        ("room", lambda: [room_finding(probing.room(root))]),
        ("leftovers", lambda: [leftovers_finding(probing.leftovers(workspace), patient.clock.now())]),
        ("ledger", lambda: _ledger(workspace)),
    ]
    for subject, look in looks:
        yield from _polled(subject, look)


def _writes(workspace: Workspace) -> Iterator[Finding]:
    probing.write(workspace.root)
    yield ok("writes", "write, fsync and rename work")


def _ledger(workspace: Workspace) -> Iterable[Finding]:
    if not workspace.exists():
        advice = "put back a copy of it; or, where there never was a job, delete the folder"
        return [fail("ledger", f"{workspace.ledger} is not there", advice)]
    return ledger_findings(ledger_checkup.examine(workspace.ledger, workspace.owners), REVISIONS, journal_mode())
