"""The findings of `doctor`: for each thing that a job rests on, whether it is in order, and what to do where it is not.

The functions take what was measured and return findings; `verbs.doctor` measures.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure

# Up to this difference our clock and the server's agree.
SKEW_SECONDS = 5
LITTLE_ROOM_BYTES = 1_000_000_000
NO_ROOM_BYTES = 50_000_000
OPEN_FILES = 256
# A younger file may belong to a command that is running: no step writes at one for so long.
LEFT_AFTER = timedelta(hours=1)
# Shorter values stand in many ordinary words and are not redacted.
SHORTEST_SECRET = 4
PUT_BACK = (
    "restore a copy of ledger.db. Without a copy, move the folder away, then attach the batches of the API before you submit"
    " again: batchctl attach ID... --input FILE"
)
WRONG_URL = "check the base URL: --base-url, ANTHROPIC_BASE_URL"
SECRET_WORDS = ("KEY", "TOKEN", "SECRET")


class Health(StrEnum):
    """How bad a finding is: in order, a warning, or something that keeps a job from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one subject.

    Attributes:
        subject: What was checked, in one or two words.
        said: What was found.
        advice: What to do about it, empty where nothing is to be done.
        is_account: The key or the account is the cause, and nothing on this machine.
    """

    subject: str
    health: Health
    said: str
    advice: str = ""
    is_account: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """All findings, and the command to go on with."""

    findings: tuple[Finding, ...]
    next_command: str

    def count(self, health: Health) -> int:
        """Return how many findings are of this health."""
        return sum(one.health is health for one in self.findings)

    @property
    def is_account_at_fault(self) -> bool:
        """Whether something fails because of the key or the account."""
        return any(one.health is Health.FAIL and one.is_account for one in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """What a ledger says of itself.

    Attributes:
        damage: What SQLite's integrity check found, empty where the file is sound.
        revision: The revision of its schema, None where it has no tables.
        journal: The journal mode that the file has.
        by_state: Number of batches by state.
        alive: Owners that run; `dead` ones hold a claim and run no more; of `unknown` ones nobody here can tell.
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
    """A temporary file of a command, with its size and when it last changed."""

    path: str
    bytes: int
    changed_at: datetime


def ok(subject: str, said: str, advice: str = "") -> Finding:
    """Return a finding that is in order."""
    return Finding(subject=subject, health=Health.OK, said=said, advice=advice)


def warn(subject: str, said: str, advice: str) -> Finding:
    """Return a warning."""
    return Finding(subject=subject, health=Health.WARN, said=said, advice=advice)


def fail(subject: str, said: str, advice: str, *, is_account: bool = False) -> Finding:
    """Return a finding that keeps a job from working."""
    return Finding(subject=subject, health=Health.FAIL, said=said, advice=advice, is_account=is_account)


def reach_finding(failure: ApiFailure) -> Finding:
    """Return the finding of a list of batches that could not be read. The list always exists, so a 404 never passes."""
    match after_read(failure):
        case AfterRead.PAUSE:
            advice = "check the key, its permissions and the account in the Console"
            return fail("reach", f"refused: {failure}", advice, is_account=True)
        case AfterRead.FAIL:
            return fail("reach", f"refused: {failure}", f"the message is the API's own; {WRONG_URL}")
        case AfterRead.GONE:
            return fail("reach", f"has no list of Message Batches: {failure}", WRONG_URL)
        case AfterRead.AGAIN if failure.status is None:
            return fail(
                "reach", str(failure), "check the network; `batchctl doctor --verbose` shows proxies and base URL"
            )
        case AfterRead.AGAIN if failure.status < 300:
            return fail(
                "reach",
                f"not the API's answer: {failure}",
                f"a web page, a proxy or another server answered; {WRONG_URL}",
            )
        case AfterRead.AGAIN:
            return fail("reach", str(failure), "this is usually temporary: try again later")


def clock_finding(skew: timedelta | None) -> Finding:
    """Return the finding on the clock. `skew`: how far ours is ahead of the server's, None where it did not say its time."""
    if skew is None:
        return ok("clock", "the server did not send its time: not compared")
    seconds = round(skew.total_seconds())
    if abs(seconds) <= SKEW_SECONDS:
        return ok("clock", f"within {SKEW_SECONDS} s of the server's")
    side = "ahead of" if seconds > 0 else "behind"
    return warn(
        "clock",
        f"{abs(seconds):,} s {side} the server's",
        "set the clock (NTP); nothing is sent twice, but the times shown are wrong",
    )


def room_finding(free: int) -> Finding:
    """Return the finding on the free bytes of the disk."""
    text = f"{free / 1e9:.1f} GB free" if free >= 1e9 else f"{free / 1e6:.0f} MB free"
    if free < NO_ROOM_BYTES:
        return fail("room", text, "free some space, or use another workspace: --workspace DIR")
    if free < LITTLE_ROOM_BYTES:
        return warn("room", text, "results need about as much space as requests: free some before you fetch")
    return ok("room", text)


def open_files_finding(limit: int) -> Finding:
    """Return the finding on the limit of open files, which is negative where there is none."""
    if 0 <= limit < OPEN_FILES:
        return warn("open files", f"at most {limit:,}", f"raise it: ulimit -n {OPEN_FILES * 4}")
    return ok("open files", f"at most {limit:,}" if limit >= 0 else "no limit")


def permissions_finding(modes: Mapping[str, tuple[int, int]]) -> Finding:
    """Return the finding on permissions. `modes`: by path the mode that it has and the widest that it should have."""
    wide = {path: (have, most) for path, (have, most) in modes.items() if have & ~most}
    if not wide:
        return ok("permissions", "folder 0700, ledger 0600, or closer")
    text = ", ".join(f"{path} is {have:04o}" for path, (have, _) in wide.items())
    fix = " && ".join(f"chmod {most:04o} {path}" for path, (_, most) in wide.items())
    return warn("permissions", f"{text}: others on this machine may read prompts and answers", fix)


def locks_finding(*, has_locks: bool) -> Finding:
    """Return the finding on file locks."""
    if has_locks:
        return ok("locks", "flock works")
    return warn(
        "locks",
        "this file system has no locks",
        "use a local disk: without locks, work of a stopped run stays blocked for some minutes",
    )


def leftovers_finding(leftovers: Sequence[Leftover], now: datetime) -> Finding:
    """Return the finding on temporary files that stopped commands left behind."""
    old = [one for one in leftovers if one.changed_at < now - LEFT_AFTER]
    if not old:
        return ok("leftovers", "none" if not leftovers else f"none ({len(leftovers)} in use right now)")
    total = sum(one.bytes for one in old)
    more = f" and {len(old) - 1:,} more" if len(old) > 1 else ""
    return warn(
        "leftovers",
        f"{old[0].path}{more}, {total / 1e6:.1f} MB, left by stopped runs",
        "you can delete them while no batchctl runs",
    )


def ledger_findings(facts: LedgerFacts, revisions: Sequence[str], journal: str) -> list[Finding]:
    """Return the findings on a ledger.

    `revisions`: the revisions that this program knows, its own last. `journal`: the mode that this version of SQLite needs.
    """
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
        return warn("schema", "no tables yet", "the next command creates them; if there were jobs, restore a copy")
    if revision not in revisions:
        return fail("schema", f"{revision}, newer than this batchctl ({revisions[-1]})", "upgrade batchctl")
    if revision != revisions[-1]:
        return ok("schema", f"{revision}; the next command upgrades it to {revisions[-1]}")
    return ok("schema", revision)


def _journal(stored: str, wanted: str) -> Finding:
    if stored.upper() == "WAL" and wanted != "WAL":
        return warn(
            "journal", "WAL, which this version of SQLite can corrupt", f"the next command that writes sets {wanted}"
        )
    return ok("journal", wanted)


def _jobs(facts: LedgerFacts) -> Finding:
    states = ", ".join(f"{n:,} {state}" for state, n in facts.by_state.items()) or "none"
    return ok("jobs", f"{facts.jobs:,}; batches: {states}")


def _owners(facts: LedgerFacts) -> Finding:
    text = f"{facts.alive:,} running"
    if facts.unknown:
        text += f", {facts.unknown:,} on another machine, or unknown"
    if facts.dead:
        text += f", {facts.dead:,} dead with claims: the next submit, fetch or retry takes these over"
    return ok("owners", text)


def next_command(findings: Collection[Finding]) -> str:
    """Return the command to go on with: the jobs of a workspace whose ledger can be read, else how to get one."""
    if any(one.health is Health.FAIL for one in findings):
        return "batchctl doctor"
    return "batchctl status" if any(one.subject == "jobs" for one in findings) else "batchctl submit INPUT.jsonl"


def custom_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in ANTHROPIC_CUSTOM_HEADERS as the SDK reads them: one on each line."""
    lines = environment.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def secrets(environment: Mapping[str, str], *urls: str) -> set[str]:
    """Return what must never be shown: keys and tokens in variables, values of headers, users and passwords in URLs."""
    named = [
        value
        for name, value in environment.items()
        if name.startswith("ANTHROPIC_") and any(word in name for word in SECRET_WORDS) and not name.endswith("_FILE")
    ]
    # Each word as well: an error may quote a part of a value, or escape its white space.
    spoken = {word for value in (*named, *custom_headers(environment).values()) for word in (value, *value.split())}
    users = {user for url in (*environment.values(), *urls) for user in re.findall(r"//([^/@\s]+)@", url)}
    return (spoken | users | {user.partition(":")[2] for user in users}) - {""}


def redacted(finding: Finding, secrets: Collection[str]) -> Finding:
    """Return the finding without any of the secrets."""
    said, advice = finding.said, finding.advice
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            said, advice = said.replace(secret, "..."), advice.replace(secret, "...")
    return replace(finding, said=said, advice=advice)
