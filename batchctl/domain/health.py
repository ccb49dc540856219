"""What is well and what is not, of everything that a job rests on: each thing looked at is one finding."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure

SKEW_SECONDS = 5
LITTLE_ROOM_BYTES = 1_000_000_000
NO_ROOM_BYTES = 50_000_000
OPEN_FILES = 256
# A file of a run under way is no leftover; no step writes at one for so long.
LEFT_AFTER = timedelta(hours=1)
# A shorter secret may stand in any word.
SHORTEST_SECRET = 4
PUT_BACK = (
    "put back a copy of ledger.db: before it sends anything, the API's list is read. Without one, move the folder away and"
    " `batchctl attach` the batches of the API with --input, before you submit anew; raw results stay where they are"
)
WRONG_URL = "is the base URL the API's? see --base-url and ANTHROPIC_BASE_URL"
SECRET_WORDS = ("KEY", "TOKEN", "SECRET")


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`is_account`: the key or the account is the cause, nothing on this machine."""

    subject: str
    health: Health
    said: str
    advice: str = ""
    is_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    findings: tuple[Finding, ...]
    next_command: str

    def count(self, health: Health) -> int:
        return sum(one.health is health for one in self.findings)

    @property
    def is_account_at_fault(self) -> bool:
        return any(one.health is Health.FAIL and one.is_account for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """What a ledger says of itself. `damage` is empty where it is sound; `journal` is what stands in the file.

    `dead`: owners that hold a claim and run no more; `unknown`: those that cannot be asked from here.
    """

    bytes: int
    damage: tuple[str, ...]
    revision: str | None
    journal: str
    jobs: int
    by_state: Mapping[str, int]
    alive: int
    dead: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    path: str
    bytes: int
    changed_at: datetime


def ok(subject: str, said: str, advice: str = "") -> Finding:
    return Finding(subject=subject, health=Health.OK, said=said, advice=advice)


def warn(subject: str, said: str, advice: str) -> Finding:
    return Finding(subject=subject, health=Health.WARN, said=said, advice=advice)


def fail(subject: str, said: str, advice: str, *, is_account: bool = False) -> Finding:
    return Finding(subject=subject, health=Health.FAIL, said=said, advice=advice, is_account=is_account)


def reach_finding(failure: ApiFailure) -> Finding:
    """Of the API's list that was asked for: it is always there, so that a 404 never passes."""
    match after_read(failure):
        case AfterRead.PAUSE:
            advice = "the key, its permission or the account: see the Console"
            return fail("reach", f"refused: {failure}", advice, is_account=True)
        case AfterRead.FAIL:
            return fail("reach", f"refused: {failure}", f"the message is the API's own; {WRONG_URL}")
        case AfterRead.GONE:
            return fail("reach", f"knows no list of Message Batches: {failure}", WRONG_URL)
        case AfterRead.AGAIN if failure.status is None:
            return fail("reach", str(failure), "see the network, and proxies and base URL above")
        case AfterRead.AGAIN if failure.status < 300:
            return fail("reach", f"not the API's answer: {failure}", f"a page, a proxy or another server; {WRONG_URL}")
        case AfterRead.AGAIN:
            return fail("reach", str(failure), "this passes, as a rule: try again")


def clock_finding(skew: timedelta | None) -> Finding:
    """`skew`: how far our clock is ahead of the server's; None where it did not tell its time."""
    if skew is None:
        return ok("clock", "the server did not tell its time: not compared")
    seconds = round(skew.total_seconds())
    if abs(seconds) <= SKEW_SECONDS:
        return ok("clock", f"within {SKEW_SECONDS} s of the server's")
    side = "ahead of" if seconds > 0 else "behind"
    return warn(
        "clock",
        f"{abs(seconds):,} s {side} the server's",
        "set it (ntp); intents are kept in the server's time, so nothing is sent twice, but the times shown are off",
    )


def room_finding(free: int) -> Finding:
    said = f"{free / 1e9:.1f} GB free" if free >= 1e9 else f"{free / 1e6:.0f} MB free"
    if free < NO_ROOM_BYTES:
        return fail("room", said, "make room on this disk, or name another workspace with --workspace")
    if free < LITTLE_ROOM_BYTES:
        return warn("room", said, "results take about as much room as requests: make some before you fetch")
    return ok("room", said)


def open_files_finding(limit: int) -> Finding:
    """`limit` is negative where there is none."""
    if 0 <= limit < OPEN_FILES:
        return warn("open files", f"at most {limit:,}", f"raise it: ulimit -n {OPEN_FILES * 4}")
    return ok("open files", f"at most {limit:,}" if limit >= 0 else "no limit")


def permissions_finding(modes: Mapping[str, tuple[int, int]]) -> Finding:
    """Permissions by path, as they are and as they should be at most."""
    wide = {path: (have, most) for path, (have, most) in modes.items() if have & ~most}
    if not wide:
        return ok("permissions", "folder 0700, ledger 0600, or closer")
    said = ", ".join(f"{path} is {have:04o}" for path, (have, _) in wide.items())
    mend = " && ".join(f"chmod {most:04o} {path}" for path, (_, most) in wide.items())
    return warn("permissions", f"{said}: others on this machine may read prompts and answers", mend)


def locks_finding(*, has_locks: bool) -> Finding:
    if has_locks:
        return ok("locks", "flock works")
    return warn(
        "locks",
        "this file system knows no locks",
        "a local disk is better: here what a stopped run had begun is held for some minutes",
    )


def leftovers_finding(found: Sequence[Leftover], now: datetime) -> Finding:
    old = [one for one in found if one.changed_at < now - LEFT_AFTER]
    if not old:
        return ok("leftovers", "none" if not found else f"none ({len(found)} in use right now)")
    total = sum(one.bytes for one in old)
    more = f" and {len(old) - 1:,} more" if len(old) > 1 else ""
    return warn(
        "leftovers",
        f"{old[0].path}{more}, {total / 1e6:.1f} MB, of runs that were stopped",
        "they can be deleted while no batchctl runs; nothing reads them",
    )


def ledger_findings(facts: LedgerFacts, revisions: Sequence[str], journal: str) -> list[Finding]:
    """`revisions`: those this program knows, the last its own; `journal`: the mode that this SQLite calls for."""
    if facts.damage:
        return [fail("ledger", f"damaged: {'; '.join(facts.damage)}", PUT_BACK)]
    return [
        ok("ledger", f"sound, {facts.bytes / 1e6:.1f} MB"),
        _schema(facts.revision, revisions),
        _journal(facts.journal, journal),
        _jobs(facts),
        _owners(facts),
    ]


def _schema(revision: str | None, revisions: Sequence[str]) -> Finding:
    if revision is None:
        return warn("schema", "no tables yet", "the next command makes them; if there were jobs, put back a copy")
    if revision not in revisions:
        return fail("schema", f"{revision}, newer than this batchctl ({revisions[-1]})", "upgrade batchctl")
    if revision != revisions[-1]:
        return ok("schema", f"{revision}; the next command that opens it brings it to {revisions[-1]}")
    return ok("schema", revision)


def _journal(stored: str, wanted: str) -> Finding:
    if stored.upper() == "WAL" and wanted != "WAL":
        return warn("journal", "WAL, which this SQLite can corrupt", f"the next command that writes sets {wanted}")
    return ok("journal", wanted)


def _jobs(facts: LedgerFacts) -> Finding:
    states = ", ".join(f"{n:,} {state}" for state, n in facts.by_state.items()) or "none"
    return ok("jobs", f"{facts.jobs:,}; batches: {states}")


def _owners(facts: LedgerFacts) -> Finding:
    said = f"{facts.alive:,} running"
    if facts.unknown:
        said += f", {facts.unknown:,} on another machine or not to be asked"
    if facts.dead:
        said += f", {facts.dead:,} dead with claims: the next submit, fetch or retry takes them over"
    return ok("owners", said)


def next_command(findings: Iterable[Finding]) -> str:
    """Of a workspace with a ledger that can be read, its jobs; else how to get one."""
    found = tuple(findings)
    if any(one.health is Health.FAIL for one in found):
        return "batchctl doctor"
    return "batchctl status" if any(one.subject == "jobs" for one in found) else "batchctl submit INPUT.jsonl"


def custom_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """As the SDK reads them from the environment: a header a line."""
    lines = environment.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def secrets(environment: Mapping[str, str], *urls: str) -> set[str]:
    """What must never be shown: keys and tokens of the environment, values of headers, passwords in URLs."""
    named = [
        value
        for name, value in environment.items()
        if name.startswith("ANTHROPIC_") and any(word in name for word in SECRET_WORDS) and not name.endswith("_FILE")
    ]
    # Word by word as well: an error may quote a value with its white space escaped, or a part of it.
    spoken = {word for value in (*named, *custom_headers(environment).values()) for word in (value, *value.split())}
    users = {user for url in (*environment.values(), *urls) for user in re.findall(r"//([^/@\s]+)@", url)}
    return (spoken | users | {user.partition(":")[2] for user in users}) - {""}


def redacted(finding: Finding, secrets: Collection[str]) -> Finding:
    """A finding in which none of the secrets stands, whoever quoted them."""
    said, advice = finding.said, finding.advice
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            said, advice = said.replace(secret, "..."), advice.replace(secret, "...")
    return replace(finding, said=said, advice=advice)
