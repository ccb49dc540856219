"""The events that a command emits while it works.

A verb calls `emit` with one of these values. `render` turns it into a live view, a plain line or JSON; the verb does not
know which. Every event of a batch names the batch, its number in its round from 1, and how many batches the round has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from batchctl.domain.caching import Caching
from batchctl.domain.check_report import Conversion, ProblemKind, Scan
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Batch, Job, RequestCounts, WithheldShape
from batchctl.domain.notifications import NotifyEvent


@dataclass(frozen=True, slots=True)
class Reading:
    """Progress in reading the input.

    Attributes:
        what: What is done with it: copying, checking or cleaning.
        done: Bytes read so far.
        total: Bytes of the whole input, 0 where that is not known.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole input was read and checked.

    Attributes:
        input: Its path.
        scan: What the check found.
        problems: Path of the file that lists every fault, empty where there is none.
    """

    input: str
    scan: Scan
    problems: str


@dataclass(frozen=True, slots=True)
class CountRefused:
    """The API refused to count the tokens of requests of an input, because of what is in them."""

    input: str
    problem_kinds: tuple[ProblemKind, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """A batch file of another vendor was read as a whole; what it gave is not yet in its place.

    Attributes:
        input: Its path.
        conversion: What was converted, and what could not be.
        problems: Path of the file that lists every fault, empty where there is none.
    """

    input: str
    conversion: Conversion
    problems: str


@dataclass(frozen=True, slots=True)
class CacheControlAdded:
    """`cache_control` was added to system prompts, in a copy of the input."""

    input: str
    caching: Caching


@dataclass(frozen=True, slots=True)
class ModelDeprecated:
    """A model that the input names can be called and is deprecated; it retires at `retires_at`, None where no day is set."""

    model: str
    retires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A round was planned: its requests are divided into batches, and nothing was sent."""

    job: Job
    batches: int
    requests: int
    bytes: int
    round: int


@dataclass(frozen=True, slots=True)
class ShapesSampled:
    """The first batch tries only some of the shapes; there are at least `shapes`."""

    job: Job
    tried: int
    shapes: int


@dataclass(frozen=True, slots=True)
class PrimePlanned:
    """The first batch writes `prompts` shared prompts to a cache, for so many requests; `others` have no prompt worth it.

    `left`: how long what it wrote before lives, where it is written once more.
    """

    job: Job
    prompts: int
    requests: int
    others: int
    left: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CacheMeasured:
    """So many percent of the shared prompts were read from the cache; None where nothing was cached."""

    job: Job
    hit: Decimal | None


@dataclass(frozen=True, slots=True)
class FirstBatchJudged:
    """The first batch has ended, and says which shapes are sent.

    Attributes:
        tried: How many shapes were tried, of which the API took `accepted`.
        withheld: The shapes that are not sent.
    """

    job: Job
    tried: int
    accepted: int
    withheld: tuple[WithheldShape, ...]


@dataclass(frozen=True, slots=True)
class Continued:
    """A job that is there already continues; `left` of its batches are still to be sent."""

    job: Job
    left: int


@dataclass(frozen=True, slots=True)
class HeadersChanged:
    """The headers of what is still to be sent were changed; `keep` batches were already sent with the headers they have."""

    job: Job
    keep: int


@dataclass(frozen=True, slots=True)
class Attached:
    """Batches that were created elsewhere are a job now."""

    job: Job
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class InputMatched:
    """The lines of an attached job's input were matched to its batches.

    `rest`: lines that no batch holds, to be sent later.
    """

    job: Job
    batches: int
    rest: int = 0


@dataclass(frozen=True, slots=True)
class TransfersPlanned:
    """Uploads and downloads begin: how many there are, and the bytes of all uploads. The API does not say how long results are."""

    uploads: int
    upload_bytes: int
    downloads: int


@dataclass(frozen=True, slots=True)
class Transferred:
    """Progress of an upload or a download: `done` bytes of the batch with this id in the ledger."""

    batch_id: int
    done: int


@dataclass(frozen=True, slots=True)
class SendingBegun:
    """The create of a batch begins."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchSent:
    """The API named the batch."""

    batch: Batch
    number: int
    total: int
    message_batch_id: str


@dataclass(frozen=True, slots=True)
class BatchNotSent:
    """The API refused the create, and nothing was created. It is tried again at `until`, None where it is not."""

    batch: Batch
    number: int
    total: int
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class BatchUnconfirmed:
    """Nobody knows whether the API created the batch; `why` says what came instead of an answer."""

    batch: Batch
    number: int
    total: int
    why: str


@dataclass(frozen=True, slots=True)
class BatchReconciled:
    """The API's list settled an unconfirmed batch.

    Attributes:
        message_batch_id: The batch at the API, empty where the API does not have it and it is sent again.
        identified: Some of its ids were read and are ours; else only its size speaks for it.
    """

    batch: Batch
    number: int
    total: int
    message_batch_id: str
    identified: bool


@dataclass(frozen=True, slots=True)
class ForeignBatch:
    """A provisional match proved to be another job's, as `why` says. Our batch is unconfirmed again."""

    batch: Batch
    number: int
    total: int
    message_batch_id: str
    why: str


@dataclass(frozen=True, slots=True)
class DuplicateBatch:
    """A batch at the API holds requests of this batch a second time. It is paid for unless it is canceled."""

    batch: Batch
    number: int
    total: int
    message_batch_id: str


@dataclass(frozen=True, slots=True)
class FieldsUnread:
    """The API's description of a batch lacks fields, or has them in another form than today's."""

    message_batch_id: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlaceChecked:
    """The workspace was moved, copied or restored, as `why` says. The API's list is read before a round is sent."""

    why: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The API was asked to end the batch. Requests that have begun are finished."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchDeleted:
    """The batch was deleted at the API. Its results stay on disk."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The command waits until a time, for the reason `why`."""

    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Polled:
    """The API was polled; `report` is the job as it stands now."""

    report: JobReport


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll failed, the `failures`-th in a row. The next one comes in `again_in` seconds. The job itself goes on."""

    why: str
    failures: int
    again_in: float


@dataclass(frozen=True, slots=True)
class DownloadBegun:
    """The download of the results of a batch begins."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchFetched:
    """The results of a batch are on disk, whole and verified.

    Attributes:
        counts: Results by outcome.
        bytes: Length of the raw results.
        twins: Lines that came a second time with the same bytes, and are left out.
        unknown: Results of a type that is newer than this program, or unreadable.
    """

    batch: Batch
    number: int
    total: int
    counts: RequestCounts
    bytes: int
    twins: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    """A download failed and is tried again at `until`, None where it is not."""

    batch: Batch
    number: int
    total: int
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ResultsRemoved:
    """The API removed the results of a batch at `at` before they were downloaded. They are lost."""

    batch: Batch
    number: int
    total: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Merging:
    """Progress in merging: `done` of `total` bytes of results are written."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Verifying:
    """Progress in verifying, in requests: each is read once for every round it is in, and once more for the sum."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process ended before its downloads did. They are downloaded again.

    Attributes:
        exit_code: Below 0 it is the signal that ended the process; None where that is not known.
        is_last: No further worker is started: threads download what is left.
    """

    exit_code: int | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class Notified:
    """A target has a notification of an event of a job. `target`: what may be shown of it."""

    job: str
    event: NotifyEvent
    target: str


@dataclass(frozen=True, slots=True)
class NotifyFailed:
    """A notification could not be delivered, as `why` says. The job and the exit status are as they would be without it.

    Attributes:
        job: The job; empty where it is not known.
        target: What may be shown of the target; empty for all targets.
        until: When a later command tries again; None where none does.
        output: The last lines that a command wrote, without secrets.
    """

    job: str
    target: str
    why: str
    until: datetime | None = None
    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopping:
    """The command was told to stop; `in_flight` uploads are still finished."""

    in_flight: int


Event = (
    Reading
    | Checked
    | CountRefused
    | Converted
    | CacheControlAdded
    | ModelDeprecated
    | ShapesSampled
    | PrimePlanned
    | CacheMeasured
    | FirstBatchJudged
    | Planned
    | Continued
    | HeadersChanged
    | Attached
    | InputMatched
    | TransfersPlanned
    | Transferred
    | SendingBegun
    | BatchSent
    | BatchNotSent
    | BatchUnconfirmed
    | BatchReconciled
    | ForeignBatch
    | DuplicateBatch
    | FieldsUnread
    | PlaceChecked
    | CancelAsked
    | BatchDeleted
    | Waiting
    | Polled
    | PollFailed
    | DownloadBegun
    | BatchFetched
    | DownloadFailed
    | ResultsRemoved
    | Merging
    | Verifying
    | WorkerLost
    | Notified
    | NotifyFailed
    | Stopping
)

# How a verb emits an event.
Emit = Callable[[Event], None]
