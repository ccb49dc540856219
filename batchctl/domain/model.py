"""The words of the program as types: job, round, cut, batch, result.

A person submits one input as a **job**. A job has **rounds**: round 1 sends the input, every retry adds one. The request
file of a round is divided into **cuts**. A cut that the ledger knows is a **batch**; once the API has created it, it is a
**Message Batch** there, too. Each request ends with one **outcome**.

Times are aware datetimes in UTC. Sizes are bytes. Positions count the requests of a round from 0, line numbers from 1.
The API's own words are spelled as the API spells them. `domain.states` says which state of a batch may follow which.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum

from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS
from batchctl.domain.prices import Forecast, TotalCost, UsageTotals

# A batch expires 24 hours after its creation; its results can be downloaded for 29 days after that creation (batch
# processing page of the API's documentation).
EXPIRY = timedelta(hours=24)
RETENTION = timedelta(days=29)

# The API may answer 404 for an existing batch for some minutes (reported by users of the SDK). After this time we believe it.
LOST_AFTER = timedelta(minutes=5)

# What a create body consists of around and between the requests.
ENVELOPE_OPEN = b'{"requests":['
ENVELOPE_CLOSE = b"]}"
ENVELOPE_BYTES = len(ENVELOPE_OPEN) + len(ENVELOPE_CLOSE)


class State(StrEnum):
    """Where a batch stands, in our words. The ledger keeps it; `domain.states` has the arrows between the states."""

    PLANNED = "planned"  # cut, and not sent
    SUBMITTING = "submitting"  # the create is about to be sent, is under way, or its outcome is unconfirmed
    IN_PROGRESS = "in_progress"  # the API named it and processes it
    CANCELING = "canceling"  # the API was asked to end it
    ENDED = "ended"  # the API says that it has ended; its results are not on disk
    FETCHED = "fetched"  # its results are on disk, whole and verified
    REFUSED = "refused"  # the API refused the create for good; nothing was created
    # No batch at all: lines of an attached job's input that none of its batches holds, until a later round sends them.
    IN_NO_BATCH = "in_no_batch"


class ProcessingStatus(StrEnum):
    """`processing_status` of a Message Batch, in the API's words."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


class Unconfirmed(StrEnum):
    """Why nobody knows whether the last create of a batch created it at the API."""

    NOTHING = ""  # the outcome is known, or no create was sent
    UNKNOWN = "unknown"  # no answer came, or one that says neither yes nor no
    ACCEPTED = "accepted"  # a 2xx answer without an id: a batch exists, and nobody knows which one
    REFUSED = "refused"  # a refusal that did not come from the API itself, but for example from a proxy
    COPIED = "copied"  # a copy of this workspace may have sent it


class Purpose(StrEnum):
    """What a round of a job with a first batch is for (see `engine.first_batch_rules`)."""

    ORDINARY = ""  # the input, or a retry
    FIRST = "first"  # one request of each shape, whose outcomes are awaited before more is sent
    MEASURE = "measure"  # the first of the others, which show how much is read from a cache
    REST = "rest"  # all others


class IfAbsent(StrEnum):
    """What follows for an unconfirmed batch once the API's list shows that it was not created."""

    PLAN = "plan"  # send it again
    SPLIT = "split"  # its body was too large: cut it in two
    REFUSE = "refuse"  # what it holds was refused: do not send it again


class Outcome(StrEnum):
    """What became of a request: the `result.type` of its line, or one of two words of ours."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"  # ours: a type that is newer than this program
    UNANSWERED = "unanswered"  # ours: no line came so far


class FailureClass(StrEnum):
    """What can be done about a request that did not succeed."""

    RETRY = "retry"  # send it again as it is
    FIX = "fix"  # change the request, or decide about it
    ACCOUNT = "account"  # fix the key, the permission or the billing first
    POLICY = "policy"  # the model refused to answer: sending it again does not help


class OutcomeCode(IntEnum):
    """What became of one request, as one byte: the index of a fetched batch holds one for each of its requests."""

    UNANSWERED = 0
    SUCCEEDED = 1
    TRUNCATED = 2  # succeeded on the wire, cut by max_tokens or the context window
    REFUSAL = 3  # succeeded on the wire, refused by the model
    PAUSED = 4  # succeeded on the wire, stop_reason pause_turn
    ERRORED_RETRY = 10
    ERRORED_FIX = 11
    ERRORED_ACCOUNT = 12
    EXPIRED = 20
    CANCELED = 21
    UNKNOWN = 30
    UNREADABLE = 31  # every download brought a line that is no JSON in UTF-8
    IN_NO_BATCH = 40  # never sent as far as we know; such a request stands in no index
    WITHHELD = 41  # the same, of a job with a first batch: it waits for that, or the API refused a request of its shape

    @property
    def is_success(self) -> bool:
        """Whether the API counts it as succeeded and bills it. No later failure replaces it."""
        return OutcomeCode.SUCCEEDED <= self <= OutcomeCode.PAUSED


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """`request_counts` of a Message Batch: five counters of requests.

    All but `processing` stay 0 until the whole batch has ended (batch processing page of the API's documentation).
    """

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        """All requests of the batch."""
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired

    def __add__(self, other: "RequestCounts") -> "RequestCounts":
        return RequestCounts(
            self.processing + other.processing,
            self.succeeded + other.succeeded,
            self.errored + other.errored,
            self.canceled + other.canceled,
            self.expired + other.expired,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBatch:
    """A Message Batch as the API last described it. Only its id is certain; None stands for a field that could not be read.

    Attributes:
        processing_status: `in_progress` where it could not be read: a batch has ended only where the API says so.
        counts: The API's counters.
        archived_at: Since when the API has no results of it any more.
        unread: Names of fields that were missing, wrongly null, or of an unknown form.
    """

    id: str
    processing_status: ProcessingStatus = ProcessingStatus.IN_PROGRESS
    counts: RequestCounts | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    unread: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """Number of its requests, None where the counters could not be read."""
        return None if self.counts is None else self.counts.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A run of whole lines of a request file.

    Attributes:
        first: Position of its first request in the round.
        count: Number of its requests.
        start: Its first byte in the request file.
        end: The byte after its last one, the last newline left out.
        sha256: Hash of these bytes, empty where the requests are not known (see `has_requests`).
    """

    first: int
    count: int
    start: int
    end: int
    sha256: str

    @property
    def body_bytes(self) -> int:
        """Length of its create body: every newline between two lines becomes one comma."""
        return self.end - self.start + ENVELOPE_BYTES

    @property
    def has_requests(self) -> bool:
        """Whether its requests are known. If not, start and end mean nothing, and positions follow the order of the results."""
        return bool(self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The hold of a running process on the next step of a batch.

    Attributes:
        owner: The process, by the name of its lock file.
        until: When the claim ends unless the owner renews it.
    """

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The headers that govern every request of a create: anthropic-version, and the values of anthropic-beta."""

    api_version: str = API_VERSION
    betas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A cut of a round as the ledger keeps it; a Message Batch once `message_batch_id` is known.

    Attributes:
        provisional: It was matched to a batch of the API's list, and its results are not verified yet.
        identified: Some ids of its results were read and are ours: it is more than a match by size and time.
        claim: Who takes its next step, None where nobody does.
        tries: How many tries of a step failed or were put off in its present state.
        list_reads: How many times the API's list was read for it since it is unconfirmed.
        intent_at: When the last create was about to be sent.
        attempt: How many creates of it were begun. Owner and attempt together fence every record of a step.
        created_after: The newest `created_at` that the API had shown before the last create, by the API's own clock: an
            older batch cannot be this one. None where it had shown none.
        unconfirmed: Why the outcome of the last create is not known.
        if_absent: What follows once the last create proves to have created nothing.
        unknown_creates: Creates of unknown outcome that were presumed not created.
        unproven_refusals: Refusals that did not come from the API itself, and were presumed not created.
        api: Base URL, account and key that the last create was sent with, empty where none was sent from here.
        headers: The headers of the last create, kept until it proves to have created nothing; None where none was sent from here.
        not_before: No step is taken on it before this time, as the API asked or after a failure.
        put_off_at: When `not_before` was set, by the same clock.
        missing_since: When the API first answered 404 for it; None after an answer that knows it.
        deleted_at: Since when the API has no results of it, because a person deleted it or the API removed them.
        polled_at: When the API was last asked for it.
        counts_unread: The API's counters could not be read in its last description.
        evidence: Why a batch found in the API's list is believed to be this one, for a person; empty where it was not found there.
        held: Why a person must say whether that batch is this one, empty where nobody must.
        results_bytes: Length of the raw results on disk, None before they are fetched.
        usage_unread: Successes whose usage could not be read, None where usage was not summed up.
        note: The last thing worth telling about it, for a person.
    """

    id: int
    job_id: int
    round: int
    cut: Cut
    state: State
    message_batch_id: str | None = None
    provisional: bool = False
    identified: bool = False
    claim: Claim | None = None
    tries: int = 0
    list_reads: int = 0
    intent_at: datetime | None = None
    attempt: int = 0
    created_after: datetime | None = None
    unconfirmed: Unconfirmed = Unconfirmed.NOTHING
    if_absent: IfAbsent = IfAbsent.PLAN
    unknown_creates: int = 0
    unproven_refusals: int = 0
    api: str = ""
    headers: Headers | None = None
    not_before: datetime | None = None
    put_off_at: datetime | None = None
    missing_since: datetime | None = None
    deleted_at: datetime | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    polled_at: datetime | None = None
    counts: RequestCounts = RequestCounts()
    counts_unread: bool = False
    evidence: str = ""
    held: str = ""
    results_bytes: int | None = None
    results_sha256: str | None = None
    usage_unread: int | None = None
    note: str = ""

    @property
    def count(self) -> int:
        """Number of its requests."""
        return self.cut.count

    @property
    def is_unattached(self) -> bool:
        """Whether this is no batch, but the lines of an attached input that none of its batches holds."""
        return self.state is State.IN_NO_BATCH

    @property
    def is_running(self) -> bool:
        """Whether the API processes it: in progress or canceling."""
        return self.state in {State.IN_PROGRESS, State.CANCELING}

    @property
    def is_provisional_match(self) -> bool:
        """Whether it was matched by its size and time alone: it may be somebody else's."""
        return self.provisional and not self.identified

    @property
    def is_removed(self) -> bool:
        """Whether the API removed its results before they were downloaded, as it does after 29 days: they are lost."""
        return self.state is State.ENDED and self.deleted_at is not None

    @property
    def is_settled(self) -> bool:
        """Whether all answers that it can bring are on disk."""
        return self.state in {State.FETCHED, State.REFUSED, State.IN_NO_BATCH} or self.is_removed

    def is_lost(self, now: datetime) -> bool:
        """Return whether the API has answered 404 for LOST_AFTER: it was deleted there, or this key cannot see it.

        The time runs from the first 404 to the last one, so that a time in which nobody asked does not count.
        """
        is_wanted = self.is_running or self.state is State.ENDED
        last = self.polled_at or now
        return is_wanted and self.missing_since is not None and last - self.missing_since >= LOST_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class PresumedNotCreated:
    """A create that was presumed not created, after which the same requests were sent again.

    Until the job's last fetch the API's list is watched for it: if it appears there, it is a duplicate batch.
    """

    batch_id: int
    job_id: int
    round: int
    cut: Cut
    created_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One sending of a job. Round 1 sends the input; every retry adds a round.

    Attributes:
        request_file: Path of the file that its cuts are ranges of, empty where the requests are not known.
        size: Size of that file when the round was planned; with `mtime_ns` it shows whether the file was changed.
        count: Number of its requests.
        shape: Digest of what its requests have in common (`groups.shape_digest`). Rounds of one shape have answers of like
            length.
        forecast: The estimate of its cost before it was sent.
        changes: The --set changes of the params of all its requests, as they may be shown.
        purpose: What it is for. Round 1 of a job with a first batch sends nothing itself: it is the plan of the whole input.
    """

    number: int
    request_file: str
    size: int
    mtime_ns: int
    count: int
    created_at: datetime
    shape: str = ""
    forecast: Forecast | None = None
    changes: tuple[str, ...] = ()
    purpose: Purpose = Purpose.ORDINARY


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldShape:
    """Requests that are not sent, because the API refused one of the same shape (`domain.groups.APART`).

    Attributes:
        digest: Of what they have in common; empty for requests of a model of which every shape that was tried was refused.
        line: The line of the input whose request was refused, with its `custom_id`.
        requests: How many they are, without that one.
        message: What the API said of it.
    """

    digest: str
    model: str
    line: int
    custom_id: str
    requests: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a job was submitted with. It stays as it is, but for the headers of what is still to be sent and `prime_min_hit`.

    Attributes:
        max_requests: The most requests in a batch.
        max_bytes: The longest create body.
        labels: A person's own names and values for the job.
        cache_system: The ttl of the `cache_control` that was added to system prompts (5m, 1h), empty where none was.
        size_start: Where the sizes of its batches begin (`cutting.size_of`), None where all have `max_requests`.
        depth: How thoroughly its requests were checked (auto, full, envelope).
        canary: Whether one request of each shape is sent first.
        prime_min_hit: The percentage of the shared prompts that the requests after the first batch are to read from a cache;
            None where no cache is primed. A person may change it.
    """

    api_version: str = API_VERSION
    betas: tuple[str, ...] = ()
    max_requests: int = DEFAULT_MAX_REQUESTS
    max_bytes: int = CEILING_MAX_BYTES
    labels: dict[str, str] = field(default_factory=dict)
    cache_system: str = ""
    size_start: int | None = None
    depth: str = "auto"
    canary: bool = False
    prime_min_hit: int | None = None

    @property
    def headers(self) -> Headers:
        """The headers of the creates that are still to be sent."""
        return Headers(api_version=self.api_version, betas=self.betas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """One kind of failure, in one batch or in a whole job: how often it occurred, and a few examples."""

    round: int
    outcome: Outcome
    error_type: str
    failure_class: FailureClass
    count: int
    sample_ids: tuple[str, ...]
    sample_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What the last merge wrote: requests by outcome over all rounds.

    Succeeded, errored, canceled, expired, unknown and unanswered sum to the planned requests; the other counts are parts of
    these.

    Attributes:
        batches: How many fetched batches it read, so that a reader knows whether more were fetched since.
        truncated: Succeeded, and cut by max_tokens or the context window.
        refusals: Succeeded, and refused by the model.
        paused_turns: Succeeded, and stopped with `pause_turn`: a person goes on with these.
        in_no_batch: Unanswered requests that were never sent.
        failures: What failed, by kind.
        cost: The cost of the successes by the prices at the time, None where it was not computed.
    """

    at: datetime
    batches: int
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0
    unknown: int = 0
    unanswered: int = 0
    truncated: int = 0
    refusals: int = 0
    paused_turns: int = 0
    in_no_batch: int = 0
    failures: tuple[Failures, ...] = ()
    cost: TotalCost | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every request succeeded and none of them stopped with `pause_turn`."""
        is_open = self.errored or self.canceled or self.expired or self.unknown or self.unanswered
        return not (is_open or self.paused_turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input, submitted once, and known to a person by its name.

    Attributes:
        line_count: Lines of the input that hold something.
        left_out: Those of them that were not planned: they have faults, or no attached batch holds them and their ids repeat.
        paused: Why nothing is sent until a person continues, empty where it is not paused.
        hold_until: No batch of it is created before this time, as the API asked; `hold_reason` says why.
        hold_at: When `hold_until` was set, by the same clock.
        canceled_at: Since when nothing more is sent, because a person canceled the job.
        may_be_copied: A copy of the workspace may have continued it.
        window: How many requests the API's queue took at once when it last refused more, learned at `window_at`; None
            while it never refused any.
        max_cost: The limit in US dollars for all rounds together that a person named last, None without one.
        merged: What the last merge wrote.
        withheld: The shapes that are not sent; None until its first batch is judged, and for a job without one.
        duplicate_batches: Duplicate batches at the API: they hold requests that another batch of the job holds, too.
        paid_twice: Duplicate batches that have ended with results, as far as is known.
    """

    id: int
    name: str
    input_path: str
    input_sha256: str
    input_size: int
    input_mtime_ns: int
    line_count: int
    left_out: int
    settings: Settings
    created_at: datetime
    rounds: tuple[Round, ...] = ()
    paused: str = ""
    hold_until: datetime | None = None
    hold_at: datetime | None = None
    hold_reason: str = ""
    canceled_at: datetime | None = None
    may_be_copied: bool = False
    window: int | None = None
    window_at: datetime | None = None
    max_cost: Decimal | None = None
    merged: Merged | None = None
    withheld: tuple[WithheldShape, ...] | None = None
    duplicate_batches: tuple[str, ...] = ()
    paid_twice: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Requests of the input that were planned, without the lines that were left out."""
        return self.rounds[0].count if self.rounds else 0

    @property
    def has_first_batch(self) -> bool:
        """Whether some of its requests are sent in a first batch, before the others are planned."""
        return self.settings.canary or self.settings.prime_min_hit is not None

    @property
    def awaits_first_batch(self) -> bool:
        """Whether most of its requests are not planned yet, because the first batch is not judged."""
        return self.has_first_batch and self.withheld is None

    @property
    def sendings(self) -> int:
        """How many times its requests were sent: the input, in however many rounds, and each retry."""
        return sum(r.purpose is Purpose.ORDINARY for r in self.rounds)

    @property
    def has_requests(self) -> bool:
        """Whether its requests are known: not where batches were attached without their input."""
        return all(r.request_file for r in self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The results of a batch, whole on disk and checked.

    Attributes:
        bytes: Length of the raw results; `sha256` is their hash.
        counts: Results by the API's outcomes.
        unknown: Results of a type that is newer than this program, or unreadable.
        usage_totals: What the successes used, one entry for each price.
        usage_unread: Successes whose usage could not be read.
        twins: Lines that came a second time with the same bytes; they count once.
    """

    bytes: int
    sha256: str
    counts: RequestCounts
    unknown: int
    truncated: int
    refusals: int
    paused_turns: int
    failures: tuple[Failures, ...]
    usage_totals: tuple[UsageTotals, ...] = ()
    usage_unread: int | None = None
    twins: int = 0
