"""`resolve`: the batches that wait for a person's decision, what speaks for each side, and what a person can type."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from batchctl.domain.model import MessageBatch
from batchctl.domain.wording import plural
from batchctl.engine.unconfirmed import UnconfirmedBatch
from batchctl.render import styles
from batchctl.render.layout import Column, Columns, hanging, indent
from batchctl.render.text import clean, duration, number


def draw(
    job: str,
    undecided: Sequence[UnconfirmedBatch],
    duplicates: Sequence[str],
    suspects: Sequence[MessageBatch],
    now: datetime,
    in_full: Callable[[str], str] = str,
) -> RenderableType:
    """Return each batch with its candidates, then the commands.

    `duplicates`: batches of the API that hold requests a second time; `suspects`: those that may. `in_full` adds to a command
    the options that it must repeat.
    """
    parts: list[RenderableType] = []
    for batch in undecided:
        parts += [_batch(batch, now), indent(_candidates(batch, now)), Text("")]
    if duplicates or suspects:
        parts += [indent(_duplicates(duplicates, suspects)), Text("")]
    possible = {c.seen.id for batch in undecided for c in batch.candidates if c.share in {None, 1}}
    if possible:
        # Of several candidates none is suggested.
        name = next(iter(possible)) if len(possible) == 1 else "ID"
        parts.append(_choice(in_full(f"batchctl resolve {job} --adopt {name}"), "it is this one"))
    if undecided:
        parts.append(_choice(in_full(f"batchctl resolve {job} --resend"), "the API does not have it: plan it again"))
    if len(undecided) > 1:
        parts.append(Text("  --batch N decides about one of them", style=styles.QUIET))
    for name in duplicates:
        parts.append(_choice(in_full(f"batchctl resolve {job} --cancel {name}"), "end what is there twice"))
    return Group(*parts)


def _choice(command: str, meaning: str) -> Text:
    return Text.assemble("  ", (clean(command, 1000), "bold"), (f"   {meaning}", styles.QUIET))


def _batch(undecided: UnconfirmedBatch, now: datetime) -> Table:
    batch = undecided.batch
    place = f"batch {undecided.number} of {undecided.total}, round {batch.round}: {plural(batch.count, 'request')}"
    if undecided.is_lost:
        since = duration(now - batch.missing_since) if batch.missing_since else "a while"
        name = clean(batch.message_batch_id or "")
        head = Text("not known  ", style=styles.strong(styles.BAD))
        return hanging(head, Text(f"{place}; the API answers 404 for {name} since {since}"))
    asked = f"; its create began at {batch.intent_at:%Y-%m-%d %H:%M:%S} UTC" if batch.intent_at else ""
    asked += ", with another key" if undecided.is_other_key else ""
    note = (batch.held or batch.note).removeprefix("unconfirmed: ")
    why = f"; {clean(note, 200)}" if note else ""
    return hanging(Text("unconfirmed  ", style=styles.strong(styles.WARN)), Text(f"{place}{asked}{why}"))


def _candidates(undecided: UnconfirmedBatch, now: datetime) -> RenderableType:
    if undecided.is_lost:
        return Text("deleted there, or this key belongs to another API workspace", style=styles.QUIET)
    if not undecided.candidates:
        late = "; its list may still be behind" if undecided.is_early else ""
        late = "; not all of its list could be read" if not undecided.is_list_whole else late
        return Text(f"the API's list shows no batch that it could be{late}", style=styles.QUIET)
    columns = (
        *(Column("it may be", is_text=True), Column("status", rank=2, is_text=True), Column("requests")),
        *(Column("created", rank=1), Column("its custom_ids", is_text=True)),
    )
    rows = []
    for candidate in undecided.candidates:
        seen, share = candidate.seen, candidate.share
        if share is None:
            ids = "not known before it has ended"
        else:
            ids = "are this batch's" if share == 1 else "are partly others'" if share else "are others'"
        ago = f"{duration(now - seen.created_at)} ago" if seen.created_at else "unknown"
        requests = "unknown" if seen.size is None else number(seen.size)
        rows.append((Text(clean(seen.id, 80)), seen.processing_status.value, requests, ago, ids))
    return Columns(columns, rows)


def _duplicates(duplicates: Sequence[str], suspects: Sequence[MessageBatch]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name in duplicates:
        meaning = "holds requests that another batch of the job holds, too"
        table.add_row(Text(clean(name, 80), style=styles.strong(styles.BAD)), meaning)
    for seen in suspects:
        meaning = "may hold requests twice: its ids tell once it has ended"
        table.add_row(Text(clean(seen.id, 80), style=styles.WARN), meaning)
    return table


def to_json(
    job: str, undecided: Sequence[UnconfirmedBatch], duplicates: Sequence[str], suspects: Sequence[MessageBatch]
) -> dict[str, Any]:
    """Return the object of `resolve`; of a candidate, null is what could not be read."""
    return {
        "type": "doubts",
        "job": job,
        "doubts": [
            {
                "batch": entry.number,
                "round": entry.batch.round,
                "requests": entry.batch.count,
                "message_batch_id": entry.batch.message_batch_id,
                "known_to_the_api": not entry.is_lost,
                "list_may_be_behind": entry.is_early,
                "list_read_whole": entry.is_list_whole,
                "sent_with_another_key": entry.is_other_key,
                "intent_at": entry.batch.intent_at,
                "missing_since": entry.batch.missing_since,
                "note": entry.batch.note or None,
                "candidates": [{**_seen_to_json(c.seen), "share_of_ids": c.share} for c in entry.candidates],
            }
            for entry in undecided
        ],
        "surplus": list(duplicates),
        "may_be_surplus": [_seen_to_json(seen) for seen in suspects],
    }


def _seen_to_json(seen: MessageBatch) -> dict[str, Any]:
    return {
        "id": seen.id,
        "processing_status": seen.processing_status,
        "requests": seen.size,
        "created_at": seen.created_at,
    }
