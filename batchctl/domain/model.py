"""The words of the program as types: what a job, a round, a batch and a result are.

Times are aware UTC datetimes; sizes are bytes; positions count requests of a round from 0; line numbers count from 1.
The API's own words are spelled as the API spells them.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum

from batchctl.domain.limits import API_VERSION, CEILING_MAX_BYTES, DEFAULT_MAX_REQUESTS
from batchctl.domain.prices import Forecast, TotalCost, UsageTotals

# Processing ends 24 h after creation at the latest; results can be downloaded for 29 days after creation.
EXPIRY = timedelta(hours=24)
RETENTION = timedelta(days=29)

# A 404 for a batch of our own passes, within minutes (seen by users of the SDK); one that stays is the truth.
LOST_AFTER = timedelta(minutes=5)

ENVELOPE_OPEN = b'{"requests":['
ENVELOPE_CLOSE = b"]}"
ENVELOPE_BYTES = len(ENVELOPE_OPEN) + len(ENVELOPE_CLOSE)


class State(StrEnum):
    """Ours, of a batch."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"
    FETCHED = "fetched"
    REFUSED = "refused"
    # No batch at all: lines of an attached job's input that are in none of its batches, until a later round sends them.
    IN_NO_BATCH = "in_no_batch"


class ProcessingStatus(StrEnum):
    """Theirs, of a Message Batch."""

    IN_PROGRESS = "in_progress"
    CANCELING = "canceling"
    ENDED = "ended"


class Unconfirmed(StrEnum):
    """Why it is not known whether the last create of a cut made a batch. Empty: there was none, or its outcome is known."""

    NOTHING = ""
    UNKNOWN = "unknown"  # no answer came, or one that says neither yes nor no
    ACCEPTED = "accepted"  # a 2xx came without an id: a batch was made, and nobody knows which
    REFUSED = "refused"  # a refusal that did not come from the API itself
    COPIED = "copied"  # a copy of this workspace may have sent it


class IfAbsent(StrEnum):
    """What becomes of an unconfirmed batch once the API's list shows that it was not created."""

    PLAN = "plan"
    SPLIT = "split"
    REFUSE = "refuse"


class Outcome(StrEnum):
    """`result.type` of a line that came back; `unanswered` is ours: no line yet; `unknown`: a type newer than this program."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    UNANSWERED = "unanswered"


class FailureClass(StrEnum):
    """What to do about a request without success."""

    RETRY = "retry"
    FIX = "fix"
    ACCOUNT = "account"
    POLICY = "policy"


class OutcomeCode(IntEnum):
    """What became of one request, in a byte: the side index of a downloaded batch holds one per request."""

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
    UNREADABLE = 31  # a line came, again and again, that is no JSON in UTF-8
    IN_NO_BATCH = 40  # never sent so far, by nobody that we know of; in no index: nothing was downloaded of it

    @property
    def is_success(self) -> bool:
        """A success on the wire: paid for, and never replaced by a later failure."""
        return OutcomeCode.SUCCEEDED <= self <= OutcomeCode.PAUSED


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """The API's five counters. All but `processing` stay 0 until the whole batch has ended."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
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
    """A Message Batch as the API last described it. Only its id is certain: None stands for what could not be read.

    A `processing_status` that could not be read is in_progress: nothing is taken for ended that does not say so.
    `unread`: the names of the fields that are missing, null where they must not be, or of another form than today's.
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
        """How many requests it holds; None where its counters could not be read."""
        return None if self.counts is None else self.counts.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A run of whole lines of a request file: bytes `start` to `end`, the last newline left out."""

    first: int
    count: int
    start: int
    end: int
    sha256: str

    @property
    def body_bytes(self) -> int:
        """Length of the request body: every newline inside becomes one comma."""
        return self.end - self.start + ENVELOPE_BYTES

    @property
    def has_requests(self) -> bool:
        """As `Job.has_requests`: without them the bytes mean nothing, and positions are the order of arrival."""
        return bool(self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who is taking a step on a batch, and until when that is believed without a sign of life."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """What governs all requests of a create: the anthropic-version header, and the values of the anthropic-beta header."""

    api_version: str = API_VERSION
    betas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A cut of a round, as the ledger remembers it; a Message Batch once `message_batch_id` is known.

    `attempt`: how many creates of it were begun; with the owner it is the fence of every record of the step.
    `unconfirmed`: why the outcome of the last create is not known; `if_absent`: what follows once it proves to have made nothing.
    `unknown_creates`: creates of unknown outcome that were presumed to have made nothing; `unproven_refusals`: the same of
    refusals that did not come from the API itself.
    `created_after`: the newest `created_at` that the API had shown before the create, by the API's own clock: a batch that is
    older is not ours. None where it had shown none.
    `provisional`: found in the API's list, its results not verified yet; `identified`: some of its ids were read and are ours.
    `evidence`: what it rests on that a batch which was found in the list is ours; `held`: why a person must say so.
    `put_off_at`: when `not_before` was set, by the same clock.
    `api`: base URL, account and key that the create was sent with; `headers`: its headers, the last that were sent while its
    outcome is open or it is planned again. None where nothing was sent, or not by this workspace.
    `deleted_at`: since when the API has no results of it, removed at a person's wish or by the API itself.
    `counts_unread`: the API's counters could not be read when it last described the batch.
    `usage_unread`: successes that do not say what they used; None where usage was not summed up when it was downloaded.
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
        return self.cut.count

    @property
    def is_unattached(self) -> bool:
        """No batch, and never to be one: the place in round 1 of lines that none of the attached batches holds."""
        return self.state is State.IN_NO_BATCH

    @property
    def is_running(self) -> bool:
        return self.state in {State.IN_PROGRESS, State.CANCELING}

    @property
    def is_provisional_match(self) -> bool:
        """Found by its size and time alone: it may be somebody else's."""
        return self.provisional and not self.identified

    @property
    def is_removed(self) -> bool:
        """The API removed its results before they were downloaded, as it does after 29 days: nobody has them any more."""
        return self.state is State.ENDED and self.deleted_at is not None

    @property
    def is_settled(self) -> bool:
        """Whether no answer can come of it that is not on the disk."""
        return self.state in {State.FETCHED, State.REFUSED, State.IN_NO_BATCH} or self.is_removed

    def is_lost(self, now: datetime) -> bool:
        """The API has answered 404 for too long to be a passing one: deleted there, or this key cannot see it.

        From the first such answer to the last: while nobody could ask, nothing was said.
        """
        is_wanted = self.is_running or self.state is State.ENDED
        last = self.polled_at or now
        return is_wanted and self.missing_since is not None and last - self.missing_since >= LOST_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class PresumedNotCreated:
    """A create that was presumed to have made nothing, and was followed by another of the same requests.

    It is looked for until the job's last fetch: what the API shows of it later is a duplicate.
    """

    batch_id: int
    job_id: int
    round: int
    cut: Cut
    created_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Which sending of a job. Round 1 sends the input; every retry adds one.

    `shape`: what its requests have in common, as a digest: rounds of one shape have answers of like length. `changes`: what
    --set made of the params of all of them, as it may be shown.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a job was submitted with; a continued job keeps its own, but for the headers of what it still has to send.

    `depth`: in what depth its requests were checked (auto, full, envelope).
    `cache_system`: for how long a shared system prompt was asked to be cached (5m, 1h); empty where nothing was changed.
    `size_start`: where the sizes of its batches begin (`cutting.size_of`); None where all of them have `max_requests`.
    """

    api_version: str = API_VERSION
    betas: tuple[str, ...] = ()
    max_requests: int = DEFAULT_MAX_REQUESTS
    max_bytes: int = CEILING_MAX_BYTES
    labels: dict[str, str] = field(default_factory=dict)
    cache_system: str = ""
    size_start: int | None = None
    depth: str = "auto"

    @property
    def headers(self) -> Headers:
        return Headers(api_version=self.api_version, betas=self.betas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """One kind of failure, in one batch or over a whole job: how often, and a few to look at."""

    round: int
    outcome: Outcome
    error_type: str
    failure_class: FailureClass
    count: int
    sample_ids: tuple[str, ...]
    sample_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What the last merge wrote: requests by what became of them over all rounds; they sum to the planned requests.

    `batches`: how many downloaded batches it saw, so that a later reader knows whether it is still the newest word.
    `in_no_batch`: of the unanswered, those that were never sent. `cost`: of their successes, by the prices of then; None where none was worked out.
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
        """Whether every request succeeded, and none stopped halfway: a paused turn is to be continued."""
        without_success = self.errored or self.canceled or self.expired or self.unknown or self.unanswered
        return not (without_success or self.paused_turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One input, submitted once; what a person names.

    `hold_at`: when `hold_until` was set, by the same clock. `canceled_at`: since when nothing more of it is sent, because a
    person said so. `may_be_copied`: a copy of the workspace may have continued it. `window`: requests that the API's queue
    took at once when it last refused more, learned at `window_at`; None while it never refused. `duplicate_batches`: batches of
    the API that hold requests which another batch of the job holds, too; `paid_twice`: such that are over, and were not for nothing
    as far as is known. `max_cost`: US dollars for all rounds together, the limit that a person named last, if anybody did.
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
    duplicate_batches: tuple[str, ...] = ()
    paid_twice: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Requests of the input that were planned: the lines left out are not among them."""
        return self.rounds[0].count if self.rounds else 0

    @property
    def has_requests(self) -> bool:
        """False where batches made elsewhere were attached without their input: only their results can be known."""
        return all(r.request_file for r in self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A batch's results, whole on disk and checked.

    `usage_totals`: what its successes used, one for each price. `usage_unread`: successes that do not say what they used.
    `twins`: lines that came a second time, byte for byte, and are left out.
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
