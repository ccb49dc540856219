"""What a command tells while it works. A command never knows whether a bar, a line or JSON comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from batchctl.domain.caching import Caching
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Batch, Job, RequestCounts
from batchctl.domain.scan import Scan


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes of the input read so far; `total` is 0 where it is not known. `what`: copying, checking, cleaning."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole input was read."""

    input: str
    scan: Scan
    problems: str


@dataclass(frozen=True, slots=True)
class CacheControlAdded:
    """To the system prompts of the input, in a copy of it."""

    input: str
    caching: Caching


@dataclass(frozen=True, slots=True)
class ModelDeprecated:
    """A model that is asked for can be called, and will not be for ever; `retires_at` is None where no day is set."""

    model: str
    retires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Planned:
    job: Job
    batches: int
    requests: int
    bytes: int
    round: int


@dataclass(frozen=True, slots=True)
class Continued:
    job: Job
    left: int


@dataclass(frozen=True, slots=True)
class HeadersChanged:
    """What the job sends from here on is sent with other headers; so many batches `keep` those that they were sent with."""

    job: Job
    keep: int


@dataclass(frozen=True, slots=True)
class Attached:
    """Batches made elsewhere are a job from here on."""

    job: Job
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class InputMatched:
    """It is known which line of the job's input went into which of its batches. `rest`: lines in none, to be sent later."""

    job: Job
    batches: int
    rest: int = 0


@dataclass(frozen=True, slots=True)
class SendingBegun:
    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchSent:
    batch: Batch
    number: int
    total: int
    message_batch_id: str


@dataclass(frozen=True, slots=True)
class BatchNotSent:
    """A definite no: `until` is when it is tried again, None where it is not."""

    batch: Batch
    number: int
    total: int
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class BatchUnconfirmed:
    batch: Batch
    number: int
    total: int
    why: str


@dataclass(frozen=True, slots=True)
class BatchReconciled:
    """`message_batch_id` is empty where the API does not have the batch and it is sent again.

    `identified`: some of its ids were read and are ours; else its size alone speaks for it.
    """

    batch: Batch
    number: int
    total: int
    message_batch_id: str
    identified: bool


@dataclass(frozen=True, slots=True)
class ForeignBatch:
    """A batch that was matched provisionally is another job's: `why` says what differs. Ours is unconfirmed again."""

    batch: Batch
    number: int
    total: int
    message_batch_id: str
    why: str


@dataclass(frozen=True, slots=True)
class DuplicateBatch:
    """A batch of the API holds the same requests once more, and is paid for unless it is canceled."""

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
    """The workspace was moved, copied or restored, as `why` says: the API's list is read before a round is sent."""

    why: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The API was asked to end the batch; what has begun is still finished."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchDeleted:
    """At the API; its results stay on the disk."""

    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Waiting:
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Polled:
    report: JobReport


@dataclass(frozen=True, slots=True)
class PollFailed:
    why: str
    failures: int
    again_in: float


@dataclass(frozen=True, slots=True)
class DownloadBegun:
    batch: Batch
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchFetched:
    """`twins`: lines that came a second time, byte for byte, and are left out; `unknown`: results that cannot be understood."""

    batch: Batch
    number: int
    total: int
    counts: RequestCounts
    bytes: int
    twins: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    batch: Batch
    number: int
    total: int
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class ResultsRemoved:
    """The API removed the results of a batch at that time; they are not on the disk, and nobody has them any more."""

    batch: Batch
    number: int
    total: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Merging:
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Verifying:
    """Requests read again so far: once for each round they are in, and once more for the sum."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """Ctrl-C: `in_flight` uploads are let finish."""

    in_flight: int


Event = (
    Reading
    | Checked
    | CacheControlAdded
    | ModelDeprecated
    | Planned
    | Continued
    | HeadersChanged
    | Attached
    | InputMatched
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
    | Stopping
)

Emit = Callable[[Event], None]
