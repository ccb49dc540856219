"""How batches live: in_progress, canceling, ended, archived, gone; told by the virtual clock alone."""

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchctl.emulator.clock import DAY, rfc3339
from batchctl.emulator.lines import Lines, custom_id_of, result_line
from batchctl.emulator.refusal import Refused, invalid, no_results, unknown_batch
from batchctl.emulator.spool import Received

EXPIRY = DAY
RETENTION = 29 * DAY
# No batch is born ended, none ends in the answer to its own cancel.
AN_INSTANT = 1e-6
UNFINISHED = "In progress batches cannot be deleted. Consider canceling the batch instead."
PAGE, LONGEST_PAGE = 20, 1000


@dataclass
class Batch:
    """One Message Batch. Times are virtual seconds since the epoch, lengths of time are virtual seconds."""

    id: str
    number: int
    workspace: str
    created_at: float
    total: int
    duration: float
    body: Received
    lines: Lines
    api_version: str
    betas: tuple[str, ...]
    canceled_at: float | None = None
    drain: float = 0.0
    finished_at_cancel: int = 0
    hidden_lists: int = 0
    deleted: bool = False
    _final: Counter[str] | None = field(default=None, repr=False)

    @property
    def ends_at(self) -> float:
        """The virtual time at which the batch ends, in seconds."""
        done = self.created_at + min(self.duration, EXPIRY)
        return done if self.canceled_at is None else min(done, self.canceled_at + self.drain)

    def status(self, now: float) -> str:
        """Return the `processing_status` at a virtual time."""
        if now >= self.ends_at:
            return "ended"
        return "in_progress" if self.canceled_at is None else "canceling"

    def archived_at(self, now: float) -> float | None:
        """Return when the results were archived, or None where they are still there."""
        gone = self.created_at + RETENTION
        return gone if now >= gone else None

    def finished(self, now: float) -> int:
        """How many lines have run to an outcome of their own by `now`."""
        if self.canceled_at is not None:
            return self.finished_at_cancel
        if self.duration <= EXPIRY and now >= self.ends_at:
            return self.total
        return int(self.total * min(now - self.created_at, EXPIRY) / self.duration)

    def cancel(self, now: float, drain: float, finished: float | None) -> None:
        """Starts canceling; `finished` is the share of lines that had run, None: as many as time allowed."""
        if self.status(now) != "in_progress":
            return
        done = self.finished(now) if finished is None else int(self.total * finished)
        self.canceled_at, self.drain, self.finished_at_cancel = now, drain, done

    @property
    def _rest(self) -> str:
        return "expired" if self.canceled_at is None else "canceled"

    def counts(self, now: float, *, live: bool) -> dict[str, int]:
        """`request_counts`: all in processing until the batch ends, unless `live`."""
        ended = self.status(now) == "ended"
        if not ended and not live:
            return {"processing": self.total, **dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)}
        if ended and self._final is not None:
            return dict(self._final)
        done = self.finished(now)
        counts = Counter(processing=0) + self.lines.counts(self.total, done)
        counts["processing" if not ended else self._rest] += self.total - done
        names = ("processing", "succeeded", "errored", "canceled", "expired")
        if ended:
            self._final = Counter({name: counts[name] for name in names})
        return {name: counts[name] for name in names}

    def result_lines(self, now: float) -> Generator[bytes]:
        """One line per request, in the order of finishing; those that never ran come last."""
        done = self.finished(now)
        for number, line in enumerate(self.lines.read(self.total)):
            yield line if number < done else result_line(custom_id_of(line), self._rest)

    def listed(self, now: float, base_url: str, *, live: bool = False) -> dict[str, Any]:
        """The MessageBatch as the API sends it: all ten keys, always."""
        ended = self.status(now) == "ended"
        archived = self.archived_at(now)
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status(now),
            "request_counts": self.counts(now, live=live),
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.created_at + EXPIRY),
            "ended_at": rfc3339(self.ends_at) if ended else None,
            "cancel_initiated_at": rfc3339(self.canceled_at) if self.canceled_at is not None else None,
            "archived_at": rfc3339(archived) if archived is not None else None,
            "results_url": f"{base_url}/v1/messages/batches/{self.id}/results" if ended else None,
        }

    def account(self, now: float) -> dict[str, Any]:
        """What only the control endpoint tells: whose it is and what exactly was received."""
        return {
            "id": self.id,
            "workspace": self.workspace,
            "created_at": rfc3339(self.created_at),
            "processing_status": self.status(now),
            "request_count": self.total,
            "body_sha256": self.body.sha256,
            "body_bytes": self.body.size,
            "api_version": self.api_version,
            "betas": list(self.betas),
            "deleted": self.deleted,
        }

    def results_available(self, now: float) -> None:
        """Refuses when there are no results to read: not ended yet, or archived."""
        is_early = self.status(now) != "ended"
        if is_early or self.archived_at(now) is not None:
            raise no_results(self.id, is_early=is_early)

    def delete(self, now: float) -> None:
        """Delete the batch. Raises Refused where it has not ended."""
        if self.status(now) != "ended":
            raise invalid(UNFINISHED)
        self.deleted = True
        self.lines.remove()


class Shelf:
    """All batches in order of creation; a workspace sees only its own."""

    def __init__(self) -> None:
        self.all: dict[str, Batch] = {}

    def add(self, batch: Batch) -> None:
        """Put a new batch on the shelf."""
        self.all[batch.id] = batch

    def find(self, batch_id: str, workspace: str) -> Batch:
        """Return a batch of a workspace. Raises Refused where it is unknown there, or deleted."""
        batch = self.all.get(batch_id)
        if batch is None or batch.deleted or batch.workspace != workspace:
            raise unknown_batch(batch_id)
        return batch

    def visible(self, workspace: str) -> list[Batch]:
        """Newest first."""
        mine = [batch for batch in self.all.values() if batch.workspace == workspace and not batch.deleted]
        return mine[::-1]

    def waiting(self, now: float) -> int:
        """Requests in batches that have not ended, over all workspaces: what the queue cap counts."""
        return sum(batch.total for batch in self.all.values() if not batch.deleted and batch.status(now) != "ended")


def page_of(ids: list[str], query: Mapping[str, str]) -> tuple[slice, bool]:
    """Which part of a list newest first a query asks for, and whether there is more in that direction."""
    limit = _limit(query.get("limit"))
    after, before = query.get("after_id"), query.get("before_id")
    if after is not None and before is not None:
        raise invalid("Only one of `after_id` and `before_id` can be set.")
    if before is not None:
        end = _place(ids, before, "before_id")
        start = max(0, end - limit)
        return slice(start, end), start > 0
    start = 0 if after is None else _place(ids, after, "after_id") + 1
    return slice(start, start + limit), start + limit < len(ids)


def _limit(given: str | None) -> int:
    if given is None:
        return PAGE
    try:
        limit = int(given)
    except ValueError:
        told = "limit: Input should be a valid integer, unable to parse string as an integer"
        raise invalid(told) from None
    if limit < 1:
        raise invalid("limit: Input should be greater than or equal to 1")
    if limit > LONGEST_PAGE:
        raise invalid(f"limit: Input should be less than or equal to {LONGEST_PAGE}")
    return limit


def _place(ids: list[str], cursor: str, name: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise Refused(400, f"{name}: {cursor} is not a known cursor") from None


def page(found: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """A list page out of everything there is, newest first."""
    part, more = page_of([each["id"] for each in found], query)
    shown = found[part]
    return {
        "data": shown,
        "has_more": more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }
