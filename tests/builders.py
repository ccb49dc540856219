"""The shortest way to say a situation: request lines, result lines, cuts, batches, jobs. Everything is valid until changed."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from batchctl.domain.model import (
    EXPIRY,
    Batch,
    Cut,
    Job,
    MessageBatch,
    ProcessingStatus,
    RequestCounts,
    Round,
    Settings,
    State,
    Unconfirmed,
    WithheldShape,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
API = "default org_1 wrkspc_1"

# ---------------------------------------------------------------- lines of requests


def request_line(custom_id: str, text: str = "Hello", **params: Any) -> bytes:
    """One request as a person writes it, without its newline."""
    said = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": text}], **params}
    return json.dumps({"custom_id": custom_id, "params": said}, ensure_ascii=False).encode()


def request_id(number: int) -> str:
    return f"r-{number:05d}"


def lines(count: int, first: int = 0) -> bytes:
    """Valid JSONL: `count` requests named r-00000, r-00001, …"""
    return b"".join(request_line(request_id(n)) + b"\n" for n in range(first, first + count))


# ---------------------------------------------------------------- lines of results


def result_line(custom_id: str, result: Any) -> bytes:
    """One result as the API writes it, without its newline."""
    shape = {"custom_id": custom_id, "result": result}
    return json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()


def succeeded(stop_reason: str = "end_turn", text: str = "Hi", **more: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
    content = {"content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "stop_sequence": None}
    usage = {"usage": {"input_tokens": 8, "output_tokens": 3, "service_tier": "batch"}}
    return {"type": "succeeded", "message": {**message, **content, **usage, **more}}


def errored(error_type: str = "api_error", message: str = "Internal server error") -> dict[str, Any]:
    inner = {"type": error_type, "message": message}
    return {"type": "errored", "error": {"type": "error", "error": inner, "request_id": None}}


EXPIRED: dict[str, Any] = {"type": "expired"}
CANCELED: dict[str, Any] = {"type": "canceled"}

# ---------------------------------------------------------------- jobs, rounds, batches


def cuts_of(data: bytes, per_batch: int) -> tuple[Cut, ...]:
    """The true cuts, with their hashes, of a clean file of lines."""
    ends = [at + 1 for at, byte in enumerate(data) if byte == 0x0A]
    starts = [0, *ends[:-1]]
    found = []
    for first in range(0, len(ends), per_batch):
        count = min(per_batch, len(ends) - first)
        start, end = starts[first], ends[first + count - 1] - 1
        sha256 = hashlib.sha256(data[start:end]).hexdigest()
        found.append(Cut(first=first, count=count, start=start, end=end, sha256=sha256))
    return tuple(found)


def a_cut(count: int = 10, first: int = 0) -> Cut:
    """A cut of a file nobody reads."""
    return Cut(first=first, count=count, start=first * 100, end=(first + count) * 100 - 1, sha256="0" * 64)


def a_batch(state: State = State.PLANNED, count: int = 10, **more: Any) -> Batch:
    """`first` says where it lies; an id and an intent come with the state."""
    cut = more.pop("cut", None) or a_cut(count, more.pop("first", 0))
    given: dict[str, Any] = {"id": 1, "job_id": 1, "round": 1, "cut": cut, "state": state}
    if state is State.SUBMITTING:
        given |= {"intent_at": NOW, "attempt": 1, "unconfirmed": Unconfirmed.UNKNOWN}
    if state in {State.IN_PROGRESS, State.CANCELING, State.ENDED, State.FETCHED}:
        given |= {"message_batch_id": "msgbatch_1", "created_at": NOW, "expires_at": NOW + EXPIRY}
        given["counts"] = RequestCounts(processing=cut.count)
    if state in {State.ENDED, State.FETCHED}:
        given |= {"ended_at": NOW + 10 * MINUTE, "counts": RequestCounts(succeeded=cut.count)}
    return Batch(**{**given, **more})


def a_message_batch(name: str = "msgbatch_1", count: int = 10, **more: Any) -> MessageBatch:
    """As the API describes it: in progress unless it has `counts` and `ended_at`."""
    status = ProcessingStatus.ENDED if more.get("ended_at") else ProcessingStatus.IN_PROGRESS
    created_at = more.get("created_at", NOW)
    given: dict[str, Any] = {"processing_status": status, "counts": RequestCounts(processing=count)}
    if status is ProcessingStatus.ENDED:
        given["counts"] = RequestCounts(succeeded=count)
    return MessageBatch(**{"id": name, "created_at": created_at, "expires_at": created_at + EXPIRY, **given, **more})


def a_round(number: int = 1, count: int = 10, **more: Any) -> Round:
    path = f"jobs/reviews-7f3a/round-{number}.requests.jsonl"
    given = {"number": number, "request_file": path, "size": 100 * count, "mtime_ns": 1, "count": count}
    return Round(**{**given, "created_at": NOW, **more})


def a_job(name: str = "reviews-7f3a", rounds: Sequence[Round] = (), **more: Any) -> Job:
    given: dict[str, Any] = {
        "id": 1,
        "name": name,
        "input_path": "/data/reviews.jsonl",
        "input_sha256": "7f3a" + "0" * 60,
        "input_size": 1000,
        "input_mtime_ns": 1,
        "line_count": 10,
        "left_out": 0,
        "settings": Settings(),
        "created_at": NOW,
        "rounds": tuple(rounds) or (a_round(),),
    }
    return Job(**{**given, **more})


WITHHELD = WithheldShape(
    digest="d", model="claude-haiku-4-5", line=3, custom_id="r-2", requests=7, message="not allowed"
)


def written(path: Path, pieces: Iterable[bytes] | bytes) -> Path:
    path.write_bytes(pieces if isinstance(pieces, bytes) else b"".join(pieces))
    return path
