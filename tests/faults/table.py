"""The failure table: what can go wrong, what batchctl makes of it, and in which words a person reads of it.

A row is tried for each of its verbs with each of its troubles (test_table.py) and stands as one row in
docs/explanation/failures.md, which is pasted from here. To add a verb, say in `REACHES` which endpoints it asks and in
`world.World.prepare` how its job stands; the coverage test then names what is missing.
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# ---------------------------------------------------------------- what goes wrong


@dataclass(frozen=True)
class Fault:
    """A fault of the emulator, shaped as an entry of `[[faults]]`."""

    shape: Mapping[str, Any]

    @property
    def kind_of(self) -> str:
        return f"{self.shape['on']} {self.shape['fault']}"

    def __str__(self) -> str:
        more = [str(v) for k, v in self.shape.items() if k not in {"on", "fault", "type", "message", "times"}]
        return "-".join([str(self.shape["on"]), str(self.shape["fault"]), *more])


@dataclass(frozen=True)
class Network:
    """No connection is made: `refused`, `name` (DNS), `unreachable`, `silent`; the first `times` (0: until fixed)."""

    kind: str
    times: int = 2

    @property
    def kind_of(self) -> str:
        return "network"

    def __str__(self) -> str:
        return f"network-{self.kind}"


@dataclass(frozen=True)
class Disk:
    """Calls of the operating system under the person's folder fail, from the `at`-th on."""

    number: int
    calls: frozenset[str] | None = None
    at: int = 1
    times: int = 0

    @property
    def kind_of(self) -> str:
        return f"disk {sorted(self.calls or ())}"

    def __str__(self) -> str:
        return f"disk-{errno.errorcode[self.number]}{'-' + '-'.join(sorted(self.calls)) if self.calls else ''}"


@dataclass(frozen=True)
class Ledger:
    """Commits of the ledger fail with SQLite's own words, from the `at`-th on."""

    said: str
    at: int = 2
    times: int = 0

    @property
    def kind_of(self) -> str:
        return "ledger"

    def __str__(self) -> str:
        return f"ledger-{self.said.replace(' ', '-')}"


@dataclass(frozen=True)
class Key:
    """Another key than the job's, or none."""

    value: str

    @property
    def kind_of(self) -> str:
        return "key"

    def __str__(self) -> str:
        return f"key-{self.value.strip()[-7:] if self.value else 'none'}"


@dataclass(frozen=True)
class Stranger:
    """Somebody else sends as many requests as our batch has, with the same key, at the same moment."""

    @property
    def kind_of(self) -> str:
        return "stranger"

    def __str__(self) -> str:
        return "stranger"


@dataclass(frozen=True)
class Signal:
    """The process gets these signals, one after the other, while a call of `during` is under way."""

    during: str
    names: tuple[str, ...]

    @property
    def kind_of(self) -> str:
        return f"{self.during} {self.names}"

    def __str__(self) -> str:
        return "-".join((self.during, *self.names))


Trouble = Fault | Network | Disk | Ledger | Key | Stranger | Signal

# ---------------------------------------------------------------- a row


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of docs/explanation/failures.md, and how it is tried.

    `happens`, `does` and `you` are the document's words. `troubles`: alternatives, each of which is one trouble or
    several at once. `made`: batches the API has more of when the command ends, by verb where they differ; None for as many
    as without any trouble. `again`: what the same command ends with once the trouble is over; None for its usual end. `final`: what `run` ends
    with then. `hours`: how much later that is. `word`: what a person decides before. `unreadable`: results that are told among
    the errors and written to no file of answers.
    """

    group: str
    happens: str
    verbs: Sequence[str]
    troubles: Sequence[Sequence[Trouble]]
    does: str
    status: int
    you: str
    says: Sequence[str] = ()
    never_says: Sequence[str] = ()
    options: Sequence[str] = ()
    made: int | Mapping[str, int] | None = None
    again: int | Mapping[str, int] | None = None
    final: int = 0
    hours: int = 0
    unreadable: int = 0
    word: Sequence[str] = ()
    per_batch: int | None = None
    is_large: bool = False
    scene: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ends(self) -> str:
        if self.status < 0:
            return "the signal"
        return f"{self.status}{' with `--timeout`' if '--timeout' in self.options else ''}"

    @property
    def has_process(self) -> bool:
        """Whether it is tried in a process of its own."""
        return any(isinstance(one, Signal) for troubles in self.troubles for one in troubles)


@dataclass(frozen=True)
class Case:
    row: Row
    number: int
    verb: str
    troubles: Sequence[Trouble]
    is_first: bool

    def __str__(self) -> str:
        return f"{self.number}-{self.verb.replace(' ', '')}-{'+'.join(map(str, self.troubles))}"


def cases() -> Iterator[Case]:
    """Every row with every verb: the first verb meets every trouble, the others one of each kind that no row had yet.

    One of each group that goes on by itself, and one that does not, are tried in the fast tests.
    """
    met: set[tuple[str, str]] = set()
    endings: set[tuple[str, bool]] = set()
    for number, row in enumerate(ROWS, 1):
        ending = (row.group, row.status == 0)
        is_first = not row.has_process and ending not in endings
        endings.add(ending)
        for verb in row.verbs:
            is_new = False
            for place, troubles in enumerate(row.troubles):
                kind = (verb, "+".join(trouble.kind_of for trouble in troubles))
                if verb == row.verbs[0] or kind not in met or not (is_new or place):
                    is_new = True
                    met.add(kind)
                    yield Case(row, number, verb, troubles, is_first=is_first and verb == row.verbs[0] and not place)


# ---------------------------------------------------------------- the words that make it short

SENDING, ACCOUNT, WATCHING, DOWNLOADING = "Sending", "The account", "Watching", "Downloading"
CANCELING, MACHINE, PROCESS = "Canceling", "The disk and the machine", "The process"
GROUPS = (SENDING, ACCOUNT, WATCHING, DOWNLOADING, CANCELING, MACHINE, PROCESS)

SENDERS = ("submit", "retry", "run")
# A retry sends as a submit does; what is asked around the sending is tried without it.
ASKERS = ("submit", "run")
EVERY_VERB = ("submit", "retry", "run", "status", "status --watch", "fetch", "cancel", "resolve")
# Which endpoints a verb asks, as this table means them.
REACHES: Mapping[str, Sequence[str]] = {
    "submit": ("list", "create", "results"),
    "retry": ("create", "results"),
    "run": ("list", "create", "retrieve", "results"),
    "status": ("retrieve", "list"),
    "status --watch": ("retrieve", "list"),
    "fetch": ("retrieve", "list", "results"),
    "cancel": ("cancel", "retrieve", "results"),
    "resolve": ("list", "results"),
}
NOTHING = "nothing"
SAME = "the same command again"


def _one(on: str, fault: str, **more: Any) -> tuple[Fault]:
    return (Fault({"on": on, "fault": fault, **more}),)


def _each(on: str, kinds: Sequence[tuple[str, Mapping[str, Any]]], **more: Any) -> list[tuple[Trouble, ...]]:
    return [_one(on, fault, **options, **more) for fault, options in kinds]


def _with(first: Trouble, others: Sequence[Sequence[Trouble]]) -> list[tuple[Trouble, ...]]:
    return [(first, *other) for other in others]


LOST = Fault({"on": "create", "fault": "drop_after_accept"})
# The work was done, and the answer did not say so.
UNTOLD: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("drop_after_accept", {}),
    ("truncated_answer", {}),
    ("error_after_accept", {"status": 500}),
    ("error_after_accept", {"status": 529}),
    ("error_after_accept", {"status": 504, "html": True}),
    ("error_after_accept", {"status": 408}),
    ("truncated_answer", {"framing": "close"}),
    ("garbage_answer", {}),
    ("html_answer", {}),
    ("stall_after_accept", {"seconds": 1.0}),
)
# A batch of the API that may be ours, or is, as far as its ids tell.
FOUND = "msgbatch_[A-Za-z0-9]+ (has its size|holds its requests)"
# No answer to a question that changes nothing: one of each kind, and all of them.
NO_ANSWER: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("status", {"status": 529}),
    ("html_status", {}),
    ("drop_before_accept", {}),
    ("drop_after_accept", {}),
    ("error_after_accept", {"status": 500}),
    ("truncated_answer", {}),
    ("garbage_answer", {}),
    ("html_answer", {}),
    ("stall_after_accept", {"seconds": 1.0}),
)
UNANSWERED: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("status", {"status": 529}),
    ("html_status", {}),
    ("drop_before_accept", {}),
    ("status", {"status": 500}),
    ("status", {"status": 408}),
    ("status", {"status": 429, "retry_after": 7}),
    ("status", {"status": 429}),
    *UNTOLD,
)
NO_ACCOUNT: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("status", {"status": 401, "type": "authentication_error", "message": "API key is invalid."}),
    ("spend_limit_429", {}),
    ("spend_limit_400", {}),
    ("status", {"status": 402, "type": "billing_error", "message": "payment is due"}),
    ("status", {"status": 403, "type": "permission_error", "message": "this key may not"}),
    ("on_hold", {}),
    ("status", {"status": 400, "message": "This organization has been disabled."}),
)
BROKEN: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("reset", {}),
    ("short_content_length", {}),
    ("early_end_at_line", {}),
    ("early_end_mid_line", {}),
    ("stall", {"seconds": 1.0}),
)
WRONG: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("early_end_at_line", {}),
    ("missing_line", {}),
    ("foreign_id", {}),
    ("changed_twin", {}),
    ("early_end_mid_line", {}),
    ("garbage_answer", {}),
    ("html_answer", {}),
)
ODD_BUT_WHOLE: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("crlf", {}),
    ("line_separator", {}),
    ("huge_line", {}),
    ("blank_line", {}),
    ("no_final_newline", {}),
    ("extra_keys", {}),
    ("duplicate_line", {}),
    ("deep_line", {"levels": 400}),
    ("stall", {"seconds": 0.05}),
    ("stall_after_accept", {"seconds": 0.05}),
)
UNREADABLE: Sequence[tuple[str, Mapping[str, Any]]] = (("not_utf8", {}), ("nul_byte", {}), ("no_head", {}))
WRITES, SYNCS, RENAMES = frozenset({"write"}), frozenset({"fsync"}), frozenset({"rename"})
ALL_NETWORKS = ("refused", "name", "unreachable", "silent")

# ---------------------------------------------------------------- the table

ROWS: Sequence[Row] = (
    # ------------------------------------------------------------ sending
    Row(
        group=SENDING,
        happens="A batch is created, and the answer gets lost: the connection breaks, a page of a proxy comes, an error, or"
        " nothing for ten minutes",
        verbs=SENDERS,
        troubles=_each("create", [fault for fault in UNTOLD if fault[0] != "truncated_answer"]),
        does="Does not send it again. Looks for it in the API's list, adopts it, and has the ids of its results"
        " confirm that",
        says=("unconfirmed  batch 1 of 2", FOUND),
        never_says=("sent again",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="A batch is created, and the connection breaks after the id in its answer",
        verbs=SENDERS,
        troubles=_each("create", [fault for fault in UNTOLD if fault[0] == "truncated_answer"]),
        does="Takes it for that batch, and asks again for what did not come",
        says=("cannot be read, and is asked for again",),
        never_says=("unconfirmed", "sent again"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The answer gets lost, and the API's list does not show the batch for a while",
        verbs=SENDERS,
        troubles=[
            (LOST, *_one("list", "hide_from_list", nth=2, times=2)),
            (*_one("create", "hide_from_list", lists=3), *_one("create", "drop_after_accept", nth=2)),
        ],
        does="Looks again, several times over a minute, before it believes that the batch is not there",
        says=("unconfirmed  batch ", FOUND),
        never_says=("sent again",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API fails over a create (500, 529, a page of its edge), and no batch is made",
        verbs=SENDERS,
        troubles=[
            *_each("create", [("status", {"status": 529}), ("html_status", {}), ("drop_before_accept", {})]),
            *_each("create", [("status", {"status": 500}), ("status", {"status": 408})]),
            *_each("create", [("html_status", {"status": 400}), ("status", {"status": 529, "retry_after": 5})]),
        ],
        does="Cannot know that, so it looks for it over a minute, and then sends it again",
        says=("unconfirmed  batch 1 of 2", "the API does not have it; it is sent again"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API fails over every create",
        verbs=SENDERS,
        troubles=_each("create", [("status", {"status": 529}), ("html_status", {})], times=0),
        does="Looks for it, sends it once more, looks again: a third create of the same requests needs a person",
        says=("unconfirmed  batch 1 of 2", "2 create requests of this batch had no clear answer", "batchctl resolve"),
        status=7,
        made=0,
        again=7,
        word=("resolve", "--resend", "--yes"),
        you="once the API answers again: `resolve --resend`, then the same command",
    ),
    Row(
        group=SENDING,
        happens="A batch is created, its answer has no id, and the API's list never shows it",
        verbs=SENDERS,
        troubles=[_one("create", fault, lists=1000) for fault in ("html_answer", "garbage_answer")],
        does="Knows that the API accepted it, so it is never sent again by itself",
        says=("unconfirmed  batch ", "the API accepted it without naming a batch", "batchctl resolve"),
        status=7,
        again=7,
        word=("resolve", "--adopt", "HIDDEN"),
        you="look for it in the Console: `resolve --adopt ID`",
    ),
    Row(
        group=SENDING,
        happens="A proxy refuses a create (429; 403 and 413 as a page) after the API has made the batch",
        verbs=SENDERS,
        troubles=_each("create", [("error_after_accept", {"status": n, "html": True}) for n in (429, 403, 413)]),
        does="Believes no refusal that does not come from the API before its list shows no such batch: takes the batch over",
        says=("unconfirmed  batch 1 of 2", FOUND),
        never_says=("sent again",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The connection breaks while an upload is on its way",
        verbs=SENDERS,
        troubles=[_one("create", "drop_before_accept", bytes=100)],
        is_large=True,
        does="Knows that the API has not had all of it, and sends it again after a moment",
        says=("not sent   batch 1 of 2", "again in"),
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API says that the upload was cut (400)",
        verbs=SENDERS,
        troubles=[_one("create", "invalid_json_400")],
        does="Sends it again after a moment",
        says=("not sent   batch 1 of 2", "not valid JSON"),
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="A rate limit (429)",
        verbs=SENDERS,
        troubles=_each("create", [("status", {"status": 429, "retry_after": 40}), ("status", {"status": 429})]),
        does="Waits as long as the API asks, all batches with it; else a little longer each time",
        says=("not sent   batch 1 of 2", "HTTP 429", "again in"),
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API's queue is full",
        verbs=SENDERS,
        troubles=[_one("create", "queue_full", nth=2)],
        does="Learns how much the queue takes, and sends the rest as batches end",
        says=("not sent   batch 2 of 2", "HTTP 429"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API's queue is full, and `--no-wait` is given",
        verbs=("submit", "retry"),
        troubles=[_one("create", "queue_full", nth=2)],
        options=("--no-wait",),
        does="Sends what there is room for, and leaves the rest planned",
        says=("not sent   batch 2 of 2",),
        status=8,
        made=1,
        hours=1,
        you="the same command, later",
    ),
    Row(
        group=SENDING,
        happens="A batch is too large for the API or a gateway (413, also as a page)",
        verbs=SENDERS,
        troubles=_each("create", [("html_413", {}), ("status", {"status": 413, "type": "request_too_large"})]),
        does="Cuts it in two and sends both halves",
        says=("not sent   batch 1 of 3", "split in two"),
        status=0,
        made=3,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="A single request is too large (413)",
        verbs=("submit", "run"),
        per_batch=1,
        troubles=_each("create", [("status", {"status": 413, "type": "request_too_large"})]),
        does="Says which; nothing was created for it, and the requests of later batches are still to be sent",
        says=("the API rejected batch 1 of 6", "retry in-.* --edit"),
        status=1,
        made=0,
        again={"submit": 3},
        you="fix it with `retry --edit`; the same command sends the others",
    ),
    Row(
        group=SENDING,
        happens="A gateway refuses a batch (403 as a page), or a single request as too large (413 as a page)",
        verbs=("submit", "run"),
        per_batch=1,
        troubles=_each("create", [("html_413", {}), ("html_status", {"status": 403})]),
        does="Sends the other batches, reads the API's list, and then says which: nothing was created for it",
        says=("unconfirmed  batch 1 of 6", "the API rejected batch 1 of 6", "retry in-.* --edit"),
        status=1,
        made=5,
        again={"submit": 6},
        you="fix the cause; `run` or `retry` sends it",
    ),
    Row(
        group=SENDING,
        happens="The API refuses a batch for what is in it (400, 404, 422 that name `requests`)",
        verbs=("submit", "retry", "run"),
        troubles=_each(
            "create",
            [
                ("status", {"status": status, "message": "requests.1.custom_id: String should match"})
                for status in (400, 404, 422)
            ],
        ),
        does="Says what the API said, and of which line; nothing was created for it",
        says=("the API rejected batch 1 of 2: HTTP 4",),
        status=1,
        made=0,
        again={"submit": 3, "retry": 3},
        you="fix the cause; the same command sends the others, `run` or `retry` these",
    ),
    Row(
        group=SENDING,
        happens="An answer comes late, or counts requests wrongly",
        verbs=SENDERS,
        troubles=[
            *_each("create", [("stall_after_accept", {"seconds": 0.1}), ("wrong_counts", {})]),
            *_each("list", [("stall_after_accept", {"seconds": 0.1}), ("wrong_counts", {}), ("hide_from_list", {})]),
        ],
        does="Goes on: counts are believed at the end alone",
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="The API gives no answer when it is asked for the time and the account, before the first upload",
        verbs=ASKERS,
        troubles=_each("list", NO_ANSWER),
        does="Asks again, a little later each time; nothing was uploaded",
        says=("no answer  ", "again in"),
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="There is no network: refused connections, no DNS name, no route, no answer",
        verbs=ASKERS,
        troubles=[(Network(kind),) for kind in ALL_NETWORKS],
        does="Waits, a little longer each time, and goes on as soon as it is back",
        says=("no answer  ", "again in"),
        never_says=("unconfirmed",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="There is no network for longer than `--timeout`",
        verbs=ASKERS,
        troubles=[(Network(kind, times=0),) for kind in ALL_NETWORKS],
        options=("--timeout", "30m"),
        does="Leaves when the time is over; nothing was sent, and the plan is kept",
        says=("no answer  ", "not finished within --timeout"),
        status=8,
        made=0,
        you=SAME,
    ),
    Row(
        group=SENDING,
        happens="A batch is unconfirmed, and the API gives no answer when its list is asked for",
        verbs=("submit", "run"),
        troubles=_with(LOST, _each("list", NO_ANSWER, nth=2)),
        does="Asks again, a little later each time; sends nothing of it meanwhile",
        says=("unconfirmed  batch 1 of 2", "no answer  ", FOUND),
        never_says=("sent again",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="A batch is unconfirmed and has ended, and its results break, are odd, or are not there at first",
        verbs=("submit", "retry"),
        scene={"batch_seconds": 0},
        troubles=_with(
            LOST,
            [
                *_each("results", NO_ANSWER),
                *_each("results", BROKEN),
                *_each("results", [("not_found", {}), ("foreign_id", {}), ("changed_twin", {}), ("missing_line", {})]),
                *_each("results", [*ODD_BUT_WHOLE, ("unknown_result_type", {}), *UNREADABLE]),
            ],
        ),
        does="Reads its ids, again where it has to: they alone say for certain that it is ours",
        says=("unconfirmed  batch 1 of 2", FOUND),
        never_says=("sent again",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=SENDING,
        happens="A batch is unconfirmed, and another of the same size was sent with the same key at the same moment",
        verbs=("submit", "retry"),
        scene={"batch_seconds": 7200},
        troubles=[(Stranger(), LOST)],
        does="Adopts neither and sends nothing: while both run, they cannot be told apart",
        says=("unconfirmed: may be one of msgbatch_", "nothing is sent twice"),
        status=7,
        made=3,
        hours=3,
        you="wait until they have ended, then the same command: their ids tell. Or decide: `resolve`",
    ),
    # ------------------------------------------------------------ the account
    Row(
        group=ACCOUNT,
        happens="The key, its permission, the payment or a spend limit stops a create (401, 402, 403; limits as 429 or"
        " 400 with their text; an organization on hold)",
        verbs=SENDERS,
        troubles=_each("create", NO_ACCOUNT),
        does="Pauses the job with the API's words; nothing was created",
        says=("account problem: HTTP 4", "fix the cause"),
        status=4,
        made=0,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The API refuses a create and names no request, whatever else it says (400, 404, 422)",
        verbs=SENDERS,
        troubles=_each("create", [("status", {"status": s, "message": "never read before"}) for s in (400, 404, 422)]),
        does="Leaves every batch planned and pauses the job with the API's words: no line is taken for the cause",
        says=("the API rejects this job and names no request: HTTP 4", "nothing was created; fix the cause"),
        never_says=("--edit",),
        status=4,
        made=0,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The API does not take a header, as a beta that was retired (400)",
        verbs=SENDERS,
        troubles=_each(
            "create",
            [("status", {"status": 400, "message": "Unexpected value(s) `x` for the `anthropic-beta` header."})],
        ),
        does="Leaves every batch planned, pauses the job, and says which headers the job sends, and which command takes off a beta of the job that is named",
        says=("the API rejects a header of this job", "ANTHROPIC_CUSTOM_HEADERS"),
        never_says=("--edit",),
        status=4,
        made=0,
        you="take a beta off with the `--no-beta NAME` that is told, or fix the header; then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The account stops it before the first upload",
        verbs=ASKERS,
        troubles=_each("list", NO_ACCOUNT),
        does="Stops with the API's words; nothing was uploaded",
        says=("account problem: HTTP 4",),
        status=4,
        made=0,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The same, while an unconfirmed batch is looked for",
        verbs=SENDERS,
        scene={"batch_seconds": 0},
        troubles=_with(LOST, [*_each("list", NO_ACCOUNT, nth=2), *_each("results", NO_ACCOUNT)]),
        does="Stops with the API's words; the batch stays unconfirmed, and is looked for the next time",
        says=("unconfirmed  batch 1 of 2", "account problem: HTTP 4"),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The same, while batches are watched or fetched",
        verbs=("status --watch", "status", "run", "fetch", "cancel"),
        troubles=_each("retrieve", NO_ACCOUNT),
        does="Stops with the API's words; the batches continue at the API",
        says=("account problem: HTTP 4",),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The same, of the list that answers for many batches at once",
        verbs=("status --watch", "status", "fetch"),
        per_batch=2,
        troubles=_each("list", NO_ACCOUNT),
        does="Stops with the API's words; the batches continue at the API",
        says=("account problem: HTTP 4",),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The same, while results are downloaded",
        verbs=("fetch", "run"),
        troubles=_each("results", NO_ACCOUNT),
        does="Stops with the API's words; complete downloads are kept",
        says=("account problem: HTTP 4",),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="The same, when an unconfirmed batch is shown",
        verbs=("resolve",),
        scene={"batch_seconds": 0},
        troubles=[
            *_each("list", NO_ACCOUNT),
            *_each("list", NO_ACCOUNT, nth=2),
            *_each("results", NO_ACCOUNT),
        ],
        does="Stops with the API's words; nothing was decided",
        says=("account problem: HTTP 4",),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=ACCOUNT,
        happens="No key is set, a wrong one, or one with a newline in it",
        verbs=EVERY_VERB,
        troubles=[(Key(""),), (Key("sk-ant-wrong"),), (Key("sk-ant-tests\n"),)],
        does="Says what is missing or wrong, and never shows the key; nothing was sent",
        says=("credentials cannot be used|no API key|account problem|a character that is not allowed in a header",),
        status=4,
        made=0,
        you="set the key, then the same command",
    ),
    # ------------------------------------------------------------ watching
    Row(
        group=WATCHING,
        happens="A poll gets no answer (500, 529, 429, a page, half an answer, a broken connection)",
        verbs=("status --watch", "run", "cancel"),
        troubles=_each("retrieve", UNANSWERED, nth=3, times=2),
        does="Shows it and polls again, a little later each time; it says nothing about the job",
        says=("no answer  ", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="The same, of the list that answers for many batches at once",
        verbs=("status --watch",),
        per_batch=2,
        troubles=_each("list", NO_ANSWER, nth=2, times=2),
        does="Shows it and polls again",
        says=("no answer  ", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="The poll of a `fetch` that has nothing to download so far gets no answer, or there is no network for a while",
        verbs=("fetch",),
        troubles=[*_each("retrieve", NO_ANSWER, times=2), *[(Network(kind, times=2),) for kind in ALL_NETWORKS]],
        does="Shows it and polls again",
        says=("no answer  ", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="The same, of the list that answers for many batches at once",
        verbs=("fetch",),
        per_batch=2,
        troubles=_each("list", NO_ANSWER, times=2),
        does="Shows it and polls again",
        says=("no answer  ", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="Polls get no answer for longer than `--timeout`, or there is no network",
        verbs=("status --watch", "fetch", "cancel"),
        troubles=[
            *_each("retrieve", [("status", {"status": 529}), ("html_status", {})], times=0),
            *[(Network(kind, times=0),) for kind in ALL_NETWORKS],
        ],
        options=("--timeout", "30m"),
        does="Leaves when the time is over",
        says=("no answer  ", "not finished within --timeout"),
        status=8,
        you=SAME,
    ),
    Row(
        group=WATCHING,
        happens="The one poll of a `status` gets no answer, or there is no network",
        verbs=("status",),
        troubles=[*_each("retrieve", NO_ANSWER), *[(Network(kind),) for kind in ALL_NETWORKS]],
        does="Shows what the ledger knows, and says so; the batches continue at the API",
        says=("the API cannot be reached",),
        status=1,
        you=SAME,
    ),
    Row(
        group=WATCHING,
        happens="The same, of the list that answers for many batches at once",
        verbs=("status",),
        per_batch=2,
        troubles=_each("list", NO_ANSWER),
        does="Shows what the ledger knows, and says so; the batches continue at the API",
        says=("the API cannot be reached",),
        status=1,
        you=SAME,
    ),
    Row(
        group=WATCHING,
        happens="The API refuses a poll (400)",
        verbs=("status --watch", "status", "run", "fetch"),
        troubles=[_one("retrieve", "status", status=400, message="no such version")],
        does="Says what the API said; nothing was changed",
        says=("rejected by the API: HTTP 400 .*no such version",),
        status=1,
        you="fix the cause, then the same command",
    ),
    Row(
        group=WATCHING,
        happens="The API says for a while that it does not know a batch (404)",
        verbs=("status --watch", "status", "run", "cancel"),
        troubles=[_one("retrieve", "not_found"), _one("retrieve", "status", status=404)],
        does="Notes it and polls again: it is believed only when it stays",
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="The list leaves a batch out, counts it wrongly, or an answer comes late",
        verbs=("status --watch", "status", "fetch"),
        per_batch=2,
        troubles=_each(
            "list", [("hide_from_list", {}), ("wrong_counts", {}), ("stall_after_accept", {"seconds": 0.1})]
        ),
        does="Asks for the batch by its name; counts are held against the results alone",
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="The one poll of a `fetch` answers that a batch is not known (404)",
        verbs=("fetch",),
        troubles=[_one("retrieve", "not_found")],
        does="Downloads the others and says so",
        says=("not known to the API",),
        status=8,
        you=SAME,
    ),
    Row(
        group=WATCHING,
        happens="The API does not know a batch any more (404 for good): deleted there, or the key belongs to another"
        " API workspace",
        verbs=("run",),
        troubles=[_one("retrieve", "not_found", times=0)],
        does="Downloads the others, and sends nothing again by itself",
        says=("not known to the API", "next: batchctl resolve"),
        status=7,
        you="take the right key; or `resolve --resend`, which pays again",
    ),
    Row(
        group=WATCHING,
        happens="A batch is counted wrongly, or its answer comes late",
        verbs=("status --watch", "status", "run", "fetch", "cancel"),
        troubles=_each("retrieve", [("wrong_counts", {}), ("stall_after_accept", {"seconds": 0.1})]),
        does="Goes on; counts are compared with the results, and requested again if they differ",
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="`resolve` shows an unconfirmed batch, and the API gives no answer, or there is no network",
        verbs=("resolve",),
        troubles=[
            *_each("list", NO_ANSWER),
            *[(Network(kind),) for kind in ALL_NETWORKS],
        ],
        does="Says so; nothing was decided",
        says=("the API cannot be reached",),
        status=1,
        you=SAME,
    ),
    Row(
        group=WATCHING,
        happens="`resolve` shows an unconfirmed batch, and the list leaves out its newest batch",
        verbs=("resolve",),
        troubles=[_one("list", "hide_from_list")],
        does="Looks once more",
        says=(FOUND,),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=WATCHING,
        happens="`resolve` shows an unconfirmed batch, and the list counts a batch wrongly",
        verbs=("resolve",),
        troubles=[_one("list", "wrong_counts", nth=2)],
        does="Does not accept it as ours: shows the batch, and decides nothing",
        says=("unconfirmed  batch 1 of 2",),
        status=7,
        you=SAME,
    ),
    # ------------------------------------------------------------ downloading
    Row(
        group=DOWNLOADING,
        happens="A download breaks: the connection is reset or stands still, or ends before the length that was said",
        verbs=("fetch", "run", "cancel"),
        troubles=_each("results", BROKEN),
        does="Discards it and downloads it again",
        says=("not whole  batch . of 2", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="A download comes to a clean end and is wrong: lines are missing, come twice in two forms, or answer requests nobody"
        " sent; it ends within a line; it is a page",
        verbs=("fetch", "run", "cancel"),
        troubles=_each("results", WRONG),
        does="Compares ids and counts with what was sent, and downloads it again",
        says=("not whole  batch . of 2", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="It is wrong six times in a row",
        verbs=("fetch", "run"),
        troubles=_each("results", WRONG, times=0, batch=1),
        does="Downloads the other batches, says what is missing, and keeps what came last as `.unverified`: never as a"
        " result",
        says=("the results of batch 1 of 2 .* are incomplete", "unverified, in .*\\.unverified"),
        status=1,
        you=SAME,
    ),
    Row(
        group=DOWNLOADING,
        happens="The counts of a batch do not agree with its results, six times in a row",
        verbs=("fetch", "run"),
        per_batch=6,
        troubles=[_one("retrieve", "wrong_counts", times=0)],
        does="The same: one of them is wrong, so the batch does not count as complete",
        made={"run": 1},
        says=("the API counted 7", "are incomplete"),
        status=1,
        you=SAME,
    ),
    Row(
        group=DOWNLOADING,
        happens="The API fails over a download (500, 529, 429, a page, no answer)",
        verbs=("fetch", "run", "cancel"),
        troubles=_each(
            "results", [one for one in UNANSWERED if one not in (("garbage_answer", {}), ("html_answer", {}))]
        ),
        does="Asks again, a little later each time",
        says=("not whole  batch . of 2", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="Downloads fail or break for longer than `--timeout`, or there is no network",
        verbs=("fetch",),
        scene={"batch_seconds": 0},
        troubles=[
            *_each("results", [("status", {"status": 529}), ("reset", {}), ("short_content_length", {})], times=0),
            *[(Network(kind, times=0),) for kind in ALL_NETWORKS],
        ],
        options=("--timeout", "30m"),
        does="Leaves when the time is over; complete downloads are kept",
        says=("not whole  batch 1 of 2", "not finished within --timeout"),
        status=8,
        you=SAME,
    ),
    Row(
        group=DOWNLOADING,
        happens="The API has no results of a batch any more (404 for good)",
        verbs=("fetch", "run"),
        scene={"batch_seconds": 0},
        troubles=[_one("results", "not_found", times=0)],
        does="Downloads the others, and sends nothing again by itself",
        says=("not whole  batch 1 of 2", "not known to the API"),
        status=7,
        hours=1,
        you="take the right key; or `resolve --resend`, which pays again",
    ),
    Row(
        group=DOWNLOADING,
        happens="The API says for a while that it has no results of a batch that has ended (404)",
        verbs=("fetch", "run", "cancel"),
        troubles=[_one("results", "not_found"), _one("results", "status", status=404)],
        does="Asks again: it is believed only when it stays",
        says=("not whole  batch . of 2", "HTTP 404"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="The API refuses a download (400)",
        verbs=("fetch", "run"),
        troubles=[_one("results", "status", status=400, message="no such version")],
        does="Says what the API said; complete downloads are merged",
        says=("rejected by the API: HTTP 400 .*no such version",),
        status=1,
        you="fix the cause, then the same command",
    ),
    Row(
        group=DOWNLOADING,
        happens="Results are odd and whole: CR LF, a blank line, no newline at the end, U+2028 within a text, a line of"
        " 10 MB, one that is nested very deep, one that comes twice and is the same, unknown keys, a pause",
        verbs=("fetch", "run", "cancel"),
        troubles=_each("results", ODD_BUT_WHOLE),
        does="Takes them as they are",
        never_says=("not whole",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="A line of the results is not UTF-8, holds a NUL, or is no JSON at all, whenever it is asked for",
        verbs=("fetch", "run"),
        troubles=_each("results", UNREADABLE, times=0, batch=1),
        does="Downloads the batch twice. Then that one result is unknown and counted apart: its bytes stay in the raw"
        " results, it is not paid for again by itself, and all others are written",
        says=("not whole  batch 1 of 2 .*: a line is not a result", "1 of unknown type"),
        status=3,
        again=3,
        final=3,
        unreadable=1,
        you="look at it, where the errors file says; `retry --only unreadable` sends it again",
    ),
    Row(
        group=DOWNLOADING,
        happens="The same, and the job is being canceled",
        verbs=("cancel",),
        troubles=_each("results", UNREADABLE, times=0, batch=1),
        does="The same",
        says=("1 of unknown type",),
        status=0,
        unreadable=1,
        you=NOTHING,
    ),
    Row(
        group=DOWNLOADING,
        happens="A result is of an unknown type",
        verbs=("fetch", "run"),
        troubles=[_one("results", "unknown_result_type")],
        does="Keeps it, counts it apart, and does not pay for it again by itself",
        says=("1 of unknown type",),
        status=3,
        again=3,
        final=3,
        you="look at it; `retry --only unknown` sends it again",
    ),
    Row(
        group=DOWNLOADING,
        happens="`resolve` shows an unconfirmed batch, and the results of a batch that has ended cannot be read",
        verbs=("resolve",),
        scene={"batch_seconds": 0},
        troubles=[
            *_each("results", NO_ANSWER),
            *_each(
                "results", [*BROKEN[:2], ("stall", {"seconds": 1.0}), ("early_end_mid_line", {}), ("not_found", {})]
            ),
            *_each("results", [("foreign_id", {}), *UNREADABLE]),
        ],
        does="Shows the batch as far as it is known, and decides nothing",
        says=("unconfirmed  batch 1 of 2",),
        status=7,
        you=SAME,
    ),
    Row(
        group=DOWNLOADING,
        happens="`resolve` shows an unconfirmed batch, and the results are odd, but their first ids can be read",
        verbs=("resolve",),
        scene={"batch_seconds": 0},
        troubles=[
            *_each("results", ODD_BUT_WHOLE),
            *_each("results", [(name, {}) for name in ("early_end_at_line", "changed_twin", "missing_line")]),
            *_each("results", [("unknown_result_type", {})]),
        ],
        does="Adopts the batch: its ids show that it is ours",
        says=(FOUND,),
        status=0,
        you=NOTHING,
    ),
    # ------------------------------------------------------------ canceling
    Row(
        group=CANCELING,
        happens="A cancel gets no answer, or its answer gets lost",
        verbs=("cancel",),
        troubles=_each("cancel", NO_ANSWER),
        does="Asks for it again: asking twice does no harm",
        says=("no answer  ", "again in"),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=CANCELING,
        happens="The API says for a while that it does not know the batch (404), or counts it wrongly, or is late",
        verbs=("cancel",),
        troubles=[
            *_each("cancel", [("not_found", {}), ("wrong_counts", {}), ("stall_after_accept", {"seconds": 0.1})]),
        ],
        does="Asks again where it has to",
        status=0,
        you=NOTHING,
    ),
    Row(
        group=CANCELING,
        happens="The account stops a cancel or the download after it (401, 402, 403, limits, on hold)",
        verbs=("cancel",),
        troubles=[*_each("cancel", NO_ACCOUNT), *_each("results", NO_ACCOUNT)],
        does="Stops with the API's words; nothing more is sent for this job all the same",
        says=("account problem: HTTP 4",),
        status=4,
        you="fix the cause, then the same command",
    ),
    Row(
        group=CANCELING,
        happens="The API refuses a cancel (400) of a batch that still runs",
        verbs=("cancel",),
        troubles=[_one("cancel", "status", status=400, message="it cannot be canceled")],
        does="Shows what the API said and asks again later; the other batches are canceled all the same",
        says=("no answer  HTTP 400 .*it cannot be canceled",),
        status=0,
        you=NOTHING,
    ),
    Row(
        group=CANCELING,
        happens="A result of what was finished is of an unknown type",
        verbs=("cancel",),
        troubles=[_one("results", "unknown_result_type")],
        does="Keeps it and counts it apart",
        says=("1 of unknown type",),
        status=0,
        you="look at it",
    ),
    # ------------------------------------------------------------ the disk and the machine
    Row(
        group=MACHINE,
        happens="The disk is full, or the quota used up",
        verbs=("fetch", "submit", "retry", "run"),
        troubles=[(Disk(errno.ENOSPC),), (Disk(errno.EDQUOT),)],
        does="Says so before anything is asked of the API",
        says=("No space left on device|[Dd]isk quota exceeded", "free some (disk )?space"),
        status=1,
        made=0,
        you="make room, then the same command",
    ),
    Row(
        group=MACHINE,
        happens="The disk becomes full, breaks (input/output error), or a limit is met (`ulimit -f`), while results or"
        " a retry are written",
        verbs=("fetch", "retry"),
        troubles=[
            (Disk(errno.ENOSPC, WRITES),),
            (Disk(errno.EDQUOT, WRITES),),
            (Disk(errno.EIO, WRITES),),
            (Disk(errno.EFBIG, WRITES),),
            (Disk(errno.ENOSPC, SYNCS, at=2),),
            (Disk(errno.EIO, SYNCS, at=2),),
            (Disk(errno.EIO, RENAMES, at=2),),
        ],
        does="Stops with the name of the file; none is left half-written under its name, and complete downloads are kept",
        says=("error: /.*: (No space left|[Dd]isk quota|Input/output error|File too large)", "try: "),
        status=1,
        made=0,
        you="fix the cause, then the same command",
    ),
    Row(
        group=MACHINE,
        happens="The disk is full, or breaks, when the ledger is written",
        verbs=("submit", "retry", "run", "fetch", "cancel", "status --watch"),
        troubles=[(Ledger("database or disk is full"),), (Ledger("disk I/O error"),)],
        does="Stops; the ledger stays as it was, and what the API has is found again",
        says=("the ledger .* cannot be used: (database or disk is full|disk I/O error)", "run the same command again"),
        status=1,
        made={"submit": 0, "retry": 0, "run": 0},
        you="make room, then the same command",
    ),
    Row(
        group=MACHINE,
        happens="The folder or the file system cannot be written",
        verbs=("fetch", "submit", "retry", "run"),
        troubles=[(Disk(errno.EROFS),)],
        does="Says so before anything is asked of the API",
        says=("Read-only file system",),
        status=1,
        made=0,
        you="make it writable, or name another with `--workspace` or `--output-dir`",
    ),
    Row(
        group=MACHINE,
        happens="Too many files are open (`ulimit -n`)",
        verbs=("fetch", "submit", "retry", "run"),
        troubles=[(Disk(errno.EMFILE),)],
        does="Says so before anything is asked of the API",
        says=("Too many open files", "ulimit -n"),
        status=1,
        made=0,
        you="raise the limit, then the same command",
    ),
    # ------------------------------------------------------------ the process
    Row(
        group=PROCESS,
        happens="It is killed, or the power fails, while an upload is under way",
        verbs=SENDERS,
        troubles=[(Signal("create", ("SIGKILL",)),)],
        does="The intent is on the disk: the next command looks for the batch before it sends anything",
        status=-9,
        made=1,
        you=SAME,
    ),
    Row(
        group=PROCESS,
        happens="It is killed while results are downloaded",
        verbs=("fetch", "run"),
        scene={"batch_seconds": 0},
        troubles=[(Signal("results", ("SIGKILL",)),)],
        does="What came whole is kept; the rest is downloaded again",
        status=-9,
        you=SAME,
    ),
    Row(
        group=PROCESS,
        happens="Ctrl-C, or the SIGTERM of a scheduler, while an upload is under way",
        verbs=SENDERS,
        troubles=[(Signal("create", ("SIGINT",)),), (Signal("create", ("SIGTERM",)),)],
        does="Lets the upload finish, begins no other, cancels nothing",
        says=("waiting for 1 upload to finish", "stopped; nothing was canceled"),
        status=130,
        made=1,
        you=SAME,
    ),
    Row(
        group=PROCESS,
        happens="Ctrl-C twice, while an upload is under way",
        verbs=SENDERS,
        troubles=[(Signal("create", ("SIGINT", "SIGINT")),)],
        does="Leaves at once; whether the batch was created is found out by the next command",
        status=130,
        made=1,
        you=SAME,
    ),
    Row(
        group=PROCESS,
        happens="Ctrl-C while batches are watched or results are downloaded",
        verbs=("fetch", "run"),
        scene={"batch_seconds": 0},
        troubles=[(Signal("results", ("SIGINT",)),)],
        does="Stops; nothing is canceled at the API",
        says=("stopped; nothing was canceled",),
        status=130,
        you=SAME,
    ),
)


# ---------------------------------------------------------------- the document


def document() -> str:
    """The table in words."""
    parts: list[str] = []
    for group in GROUPS:
        rows = [row for row in ROWS if row.group == group]
        head = f"## {group}\n\n| what happens | what batchctl does | ends with | what you do |\n|---|---|---|---|\n"
        parts.append(head + "".join(_row(row) for row in rows))
    return "\n".join(parts)


def _row(row: Row) -> str:
    verbs = ", ".join(f"`{verb}`" for verb in row.verbs)
    return f"| {row.happens} ({verbs}) | {row.does} | {row.ends} | {row.you} |\n"


def tried_in_words() -> str:
    """What the tests of this table try."""
    tried = list(cases())
    faults = {str(t.shape["fault"]) for case in tried for t in case.troubles if isinstance(t, Fault)}
    return f"{len(ROWS)} rows, {len(faults)} faults of the emulator among them; {len(tried)} cases, by row, command and fault.\n"
