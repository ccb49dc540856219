"""The Message Batches API in memory and in virtual time: what the commands of the state machine talk to.

It keeps the API's contract where money hangs on it: creates that are answered, refused or lose their answer; a list and
answers that lag behind; batches that end; other people's batches under the same key.
"""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from builders import CANCELED, EXPIRED, NOW, errored, result_line, succeeded

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import LIST_LIMIT, Body, Page, Seen
from batchctl.domain.errors import ApiFailure
from batchctl.domain.limits import API_VERSION
from batchctl.domain.model import EXPIRY, MessageBatch, ProcessingStatus, RequestCounts

SECOND = timedelta(seconds=1)
# A call takes its time; and the list comes in more than one page.
CALL = SECOND / 8
PAGE = 4
LATENESS = 5 * SECOND

CREATE, ANSWER, LIST, RETRIEVE = "create", "answer to a create", "list", "retrieve"
CANCEL, RESULTS, PIECE = "cancel", "results", "piece of results"


class Fate(Enum):
    """What becomes of a create."""

    FINE = "created and answered"
    LOST = "created, and the answer is lost"
    LATE = "the answer is lost, and some seconds later it is created all the same"
    NEVER = "nothing is created, and the answer does not say so"
    CUT = "the connection breaks before the last byte"
    BURST = "refused: too many at once"
    QUEUE = "refused: the queue is full"
    TOO_LARGE = "refused: too many bytes"
    NO_CREDIT = "refused: no credit"


REFUSALS = {
    Fate.CUT: ApiFailure("the connection broke", sent_whole=False),
    Fate.BURST: ApiFailure("slow down", status=429, retry_after=7.0, has_envelope=True, is_from_api=True),
    Fate.QUEUE: ApiFailure(
        "the processing queue is full", status=429, retry_after=7.0, has_envelope=True, is_from_api=True
    ),
    Fate.TOO_LARGE: ApiFailure("the body is too large", status=413, has_envelope=True, is_from_api=True),
    Fate.NO_CREDIT: ApiFailure("no credit", status=402, has_envelope=True, is_from_api=True),
}


# What is heard of those that say neither yes nor no.
OPEN_ANSWERS = {
    Fate.LATE: ApiFailure("gateway timeout", status=504),
    Fate.NEVER: ApiFailure(
        "overloaded", status=529, error_type="overloaded_error", has_envelope=True, is_from_api=True
    ),
}


class End(Enum):
    """What becomes of the requests of a batch, one after the other and again from the first."""

    WELL = (succeeded(),)
    MIXED = (succeeded(), errored("overloaded_error"), EXPIRED)
    CANCELED = (succeeded(), CANCELED)

    def of(self, place: int) -> dict[str, Any]:
        results: tuple[dict[str, Any], ...] = self.value
        return results[place % len(results)]


@dataclass
class Held:
    """A Message Batch as the API holds it. `shown_at`: before that it is in no list, and asked for it is not there."""

    id: str
    custom_ids: tuple[str, ...]
    is_ours: bool
    created_at: datetime
    shown_at: datetime
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    end: End = End.WELL

    @property
    def lines(self) -> tuple[bytes, ...]:
        """The results, in no order that anybody relies on."""
        found = (result_line(name, self.end.of(place)) + b"\n" for place, name in enumerate(self.custom_ids))
        return tuple(found)[::-1]

    def counts(self, now: datetime) -> RequestCounts:
        if self.ended_at is None or now < self.ended_at:
            return RequestCounts(processing=len(self.custom_ids))
        kinds = [str(self.end.of(place)["type"]) for place in range(len(self.custom_ids))]
        return RequestCounts(**{kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")})

    def seen(self, now: datetime) -> MessageBatch:
        has_ended = self.ended_at is not None and self.ended_at <= now
        status = ProcessingStatus.CANCELING if self.canceled_at else ProcessingStatus.IN_PROGRESS
        return MessageBatch(
            id=self.id,
            processing_status=ProcessingStatus.ENDED if has_ended else status,
            counts=self.counts(now),
            created_at=self.created_at,
            expires_at=self.created_at + EXPIRY,
            ended_at=self.ended_at if has_ended else None,
        )


@dataclass
class Api:
    """`now` is the server's time, and the only time that passes; `list_lag` hides what is new, `news_lag` what has ended.

    `blind_until`: until then no batch is known by its id, as happens for minutes. `breaks`: downloads that end too early.
    """

    now: datetime = NOW
    batches: list[Held] = field(default_factory=list)
    fates: deque[Fate] = field(default_factory=deque)
    list_lag: timedelta = timedelta()
    news_lag: timedelta = timedelta()
    blind_until: datetime = NOW
    is_down: bool = False
    breaks: int = 0

    @property
    def ours(self) -> list[Held]:
        return [b for b in self.batches if b.is_ours]

    @property
    def strangers(self) -> list[Held]:
        return [b for b in self.batches if not b.is_ours]

    @property
    def running(self) -> list[Held]:
        return [b for b in self.batches if b.ended_at is None]

    @property
    def is_behind(self) -> bool:
        """Whether the list hides something, or will."""
        return bool(self.list_lag) or any(b.shown_at > self.now for b in self.batches)

    def create(self, custom_ids: Iterable[str], *, late: timedelta = timedelta()) -> Held:
        at = self.now + late
        made = Held(f"msgbatch_{len(self.batches):04d}", tuple(custom_ids), True, at, at + self.list_lag)  # noqa: FBT003
        self.batches.append(made)
        return made

    def create_strangers(self, count: int, at: datetime) -> None:
        """Somebody else's, under the same key, of as many requests."""
        number = len(self.batches)
        names = tuple(f"theirs-{number}-{n}" for n in range(count))
        self.batches.append(Held(f"msgbatch_{number:04d}", names, False, at, at))  # noqa: FBT003

    def end(self, one: Held, how: End) -> None:
        one.ended_at, one.end = max(self.now, one.created_at), End.CANCELED if one.canceled_at else how

    def called(self) -> None:
        self.now += CALL
        if self.is_down:
            raise ApiFailure("connection refused", sent_whole=False)

    def known(self, message_batch_id: str) -> Held:
        self.called()
        found = next((b for b in self.batches if b.id == message_batch_id), None)
        if found is None or self.now < max(found.shown_at, self.blind_until):
            raise ApiFailure(
                f"Message Batch {message_batch_id} not found.", status=404, has_envelope=True, is_from_api=True
            )
        return found

    def calm(self) -> None:
        """The weather is over; what is to become of the next creates still does."""
        self.blind_until, self.is_down, self.breaks = self.now, False, 0


class ModelMessageBatches(SdkMessageBatches):
    """The way to the API in memory. `stop_before` is called with each call's name, where its sender may be stopped."""

    def __init__(self, api: Api, stop_before: Callable[[str], None]) -> None:
        super().__init__("https://api.example")
        self._api = api
        self._stop_before = stop_before

    def create(self, body: Body, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> Seen:
        self._stop_before(CREATE)
        custom_ids = [request["custom_id"] for request in json.loads(b"".join(body))["requests"]]
        self._api.called()
        fate = self._api.fates.popleft() if self._api.fates else Fate.FINE
        if fate in REFUSALS and not (fate is Fate.TOO_LARGE and len(custom_ids) == 1):
            raise REFUSALS[fate]
        made = None
        if fate is not Fate.NEVER:
            made = self._api.create(custom_ids, late=LATENESS if fate is Fate.LATE else timedelta())
        self._stop_before(ANSWER)
        if made is None or fate in {Fate.LOST, Fate.LATE} or self._api.is_down:
            raise OPEN_ANSWERS.get(fate) or ApiFailure("the connection broke")
        return self._seen(made)

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        self._stop_before(LIST)
        self._api.called()
        now = self._api.now
        shown = [b for b in reversed(self._api.batches) if b.shown_at <= now]
        newest_first = sorted(shown, key=lambda b: b.created_at, reverse=True)
        names = [b.id for b in newest_first]
        rest = newest_first[names.index(after) + 1 if after else 0 :]
        given = rest[: min(limit, PAGE)]
        return Page(
            batches=tuple(b.seen(now - self._api.news_lag) for b in given),
            after=given[-1].id if len(given) < len(rest) else "",
            is_whole=True,
            server_time=now.replace(microsecond=0),
            account="org_1 wrkspc_1",
        )

    def fingerprint(self, salt: str) -> str:
        return "0123456789ab"

    def count_tokens(self, body: bytes, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> int:
        """As many as every answer was billed for."""
        self._api.called()
        return 8

    def retrieve(self, message_batch_id: str) -> Seen:
        self._stop_before(RETRIEVE)
        return self._seen(self._api.known(message_batch_id))

    def cancel(self, message_batch_id: str) -> Seen:
        self._stop_before(CANCEL)
        held = self._api.known(message_batch_id)
        if held.ended_at is not None:
            raise ApiFailure("it has ended", status=400, has_envelope=True, is_from_api=True)
        held.canceled_at = held.canceled_at or self._api.now
        return self._seen(held)

    @contextlib.contextmanager
    def results(self, message_batch_id: str) -> Iterator[Iterator[bytes]]:
        self._stop_before(RESULTS)
        held = self._api.known(message_batch_id)
        if held.ended_at is None or held.ended_at > self._api.now:
            raise ApiFailure("no available results", status=404, has_envelope=True, is_from_api=True)
        yield self._pieces(held)

    def _pieces(self, held: Held) -> Iterator[bytes]:
        lines = held.lines
        if self._api.breaks:
            self._api.breaks -= 1
            lines = lines[:-1]
        for line in lines:
            self._stop_before(PIECE)
            self._api.called()
            yield line

    def _seen(self, held: Held) -> Seen:
        return Seen(batch=held.seen(self._api.now), retry_after=None)
