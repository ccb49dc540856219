"""`doctor`: checks everything a job rests on, one thing at a time. What is broken is a line, and hides no other."""

import platform
import sqlite3
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
from batchctl.ledger.schema import REVISIONS
from batchctl.ledger.sqlite import WAL_IS_SAFE_SINCE, journal_mode
from batchctl.store import probing
from batchctl.store.workspace import Workspace, find_workspace

PATIENCE_SECONDS = 30.0
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
HINT = "check the message; if it does not help, report it with the lines above"

Check = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is checked.

    `workspace` and `base_url` are None where a person named none. `insecure_http` says that the key may go over plain http to
    another host. `offline` leaves the API alone.
    """

    workspace: Path | None
    base_url: str | None
    insecure_http: bool = False
    environment: Mapping[str, str]
    clock: Clock
    offline: bool


def doctor(examined: Examined) -> Checkup:
    """Return the findings, without any secret. What goes wrong on the way is a finding, too."""
    hidden = secrets(examined.environment, examined.base_url or "")
    checks: list[tuple[str, Check]] = [
        ("versions", _versions),
        ("proxies", lambda: [_proxies(examined)]),
        ("api", lambda: _api(examined)),
        ("open files", lambda: [open_files_finding(probing.open_files())]),
        ("workspace", lambda: _workspace(examined)),
    ]
    findings = tuple(redacted(found, hidden) for subject, check in checks for found in _checked(subject, check))
    return Checkup(findings=findings, next_command=next_command(findings))


def _checked(subject: str, check: Check) -> Iterator[Finding]:
    """Yield what a check finds, and what stopped it, if anything did."""
    try:
        yield from check()
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
    why = "" if mode == "WAL" else f": WAL can be corrupted by versions before {since}"
    yield ok("sqlite", f"{sqlite3.sqlite_version}, journal {mode}{why}")


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


# ---------------------------------------------------------------- the API


def _proxies(examined: Examined) -> Finding:
    environment = examined.environment
    found = {name: environment.get(name) or environment.get(name.lower()) for name in PROXIES}
    said = [f"{name}={value if name == 'NO_PROXY' else shown_url(value)}" for name, value in found.items() if value]
    if not any(not one.startswith("NO_PROXY") for one in said):
        return ok("proxies", "none in the environment")
    return ok("proxies", ", ".join(said))


def _api(examined: Examined) -> Iterator[Finding]:
    message_batches = SdkMessageBatches(
        examined.base_url,
        patience=PATIENCE_SECONDS,
        longest=PATIENCE_SECONDS,
        insecure_http=examined.insecure_http,
    )
    try:
        yield from _checked("credential", lambda: [_credential(message_batches)])
        yield from _base_url(examined, message_batches)
        if examined.offline:
            yield ok("reach", "not asked (--offline)")
        else:
            yield from _reach(examined, message_batches)
    finally:
        message_batches.close()


def _credential(message_batches: MessageBatches) -> Finding:
    found = message_batches.credential()
    if not found.source:
        return fail(
            "credential",
            "none was found",
            "set one: export ANTHROPIC_API_KEY=...; the emulator takes any key",
            is_account=True,
        )
    if found.is_blank_at_an_end:
        return fail(
            "credential",
            f"{found.source} begins or ends with white space",
            "often a newline from a file: set it again without white space",
            is_account=True,
        )
    hidden = f"; it hides {', '.join(found.unused)}" if found.unused else ""
    headers = f"; ANTHROPIC_CUSTOM_HEADERS adds {', '.join(found.headers)}" if found.headers else ""
    return ok("credential", f"{found.source}{hidden}{headers}")


def _base_url(examined: Examined, message_batches: MessageBatches) -> Iterator[Finding]:
    """Yield the base URL in use, and where it comes from. Without a credential, the SDK does not say it either."""
    environment = examined.environment.get("ANTHROPIC_BASE_URL")
    how = "--base-url" if examined.base_url else "ANTHROPIC_BASE_URL" if environment else "the SDK's, or the profile's"
    try:
        url = message_batches.base_url or message_batches.credential().base_url
    except AccountProblem:
        url = ""
    no_proxy = ", without a proxy" if is_loopback_url(url) else ""
    said = f"{shown_url(url) or 'not known'} ({how}){no_proxy}"
    if url.lower().startswith("http:") and not no_proxy:
        yield warn(
            "base URL", f"{said}: others can read the key", "use https, unless others on the network may read the key"
        )
    else:
        yield ok("base URL", said)


def _reach(examined: Examined, message_batches: MessageBatches) -> Iterator[Finding]:
    clock = examined.clock
    began = clock.monotonic()
    try:
        page = message_batches.page(limit=1)
    except CertificateProblem as problem:
        yield fail("reach", problem.message, problem.hint, is_account=True)
        return
    except AccountProblem as problem:
        yield warn("reach", f"not asked: {problem.message}", "fix the credentials first")
        return
    except ApiFailure as failure:
        finding = reach_finding(failure)
        yield replace(finding, said=f"{shown_url(message_batches.base_url or '')}: {finding.said}")
        return
    took = clock.monotonic() - began
    account = f", {page.account}" if page.account else ""
    yield ok("reach", f"answered in {took * 1000:.0f} ms{account}")
    # The header tells whole seconds, cut: half of one is the best guess, and so is the middle of the way.
    skew = None if page.server_time is None else clock.now() - page.server_time
    yield clock_finding(skew)


# ---------------------------------------------------------------- the workspace


def _workspace(examined: Examined) -> Iterator[Finding]:
    workspace = Workspace(find_workspace(examined.workspace, Path.cwd()))
    root = workspace.root
    if not root.exists():
        yield ok("workspace", f"none here; it will be created in {root}")
        yield room_finding(probing.room(root))
        return
    workspace.refuse_links_out()
    checks: list[tuple[str, Check]] = [
        ("workspace", lambda: [ok("workspace", str(root))]),
        ("permissions", lambda: [permissions_finding(probing.modes(workspace))]),
        ("writes", lambda: _writes(workspace)),
        ("locks", lambda: [locks_finding(has_locks=probing.lock(root))]),
        ("room", lambda: [room_finding(probing.room(root))]),
        ("leftovers", lambda: [leftovers_finding(probing.leftovers(workspace), examined.clock.now())]),
        ("ledger", lambda: _ledger(workspace)),
    ]
    for subject, check in checks:
        yield from _checked(subject, check)


def _writes(workspace: Workspace) -> Iterator[Finding]:
    probing.write(workspace.root)
    yield ok("writes", "write, fsync and rename work")


def _ledger(workspace: Workspace) -> Iterable[Finding]:
    if not workspace.exists():
        advice = "restore a copy of it; or, if there never was a job, delete the folder"
        return [fail("ledger", f"{workspace.ledger} does not exist", advice)]
    return ledger_findings(ledger_checkup.examine(workspace.ledger, workspace.owners), REVISIONS, journal_mode())
