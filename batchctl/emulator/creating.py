"""A create: body to disk, checked, turned into a batch whose outcomes are settled; or refused, and nothing is left."""

import asyncio
import random
from collections.abc import Iterator

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from batchctl.emulator.admission import Call
from batchctl.emulator.batches import AN_INSTANT, Batch
from batchctl.emulator.lines import Lines
from batchctl.emulator.outcomes import Fates
from batchctl.emulator.refusal import TOO_LARGE, Refused, edge_page, invalid
from batchctl.emulator.spool import BrokenJSONError, Envelope, Received, TooLarge, receive
from batchctl.emulator.state import State, new_id
from batchctl.emulator.validation import Gate
from batchctl.emulator.wire import Silence, wire_of

QUEUE_FULL = "Number of requests in the Message Batches processing queue would exceed your organization's limit."


class _Closing(Exception):
    pass


async def create(call: Call) -> Response:
    """`POST /v1/messages/batches`."""
    limit = int(call.state.scenario.limits["bytes"])
    if int(call.request.headers.get("content-length", "0")) > limit:
        return edge_refusal(call)
    batch_id = new_id("msgbatch")
    path = call.state.folder / f"{batch_id}.body"
    try:
        body = await receive(call.request.stream(), path, limit)
        batch = await _batch(call, batch_id, body)
    except TooLarge:
        path.unlink(missing_ok=True)
        return edge_refusal(call)
    except ClientDisconnect:
        path.unlink(missing_ok=True)
        return Silence()
    except Refused:
        path.unlink(missing_ok=True)
        raise
    call.state.shelf.add(batch)
    if call.fault:
        batch.hidden_lists = int(call.fault.options.get("lists", 0))
    shown = batch.listed(batch.created_at, call.state.base_url)
    if call.struck == "wrong_counts":
        shown["request_counts"]["processing"] += 1
    return JSONResponse(shown)


def edge_refusal(call: Call) -> Response:
    """413 in the form the edge gives it: bare JSON, an HTML page, or a reset."""
    form = call.state.scenario.limits["too_large"]
    if form == "reset":
        wire_of(call.request.scope).reset()
        return Silence()
    if form == "html":
        return Response(edge_page(413), 413, media_type="text/html")
    return JSONResponse(TOO_LARGE, 413)


async def _batch(call: Call, batch_id: str, body: Received) -> Batch:
    state = call.state
    lines = Lines(state.folder / f"{batch_id}.lines")
    gate = Gate(int(state.scenario.limits["requests"]))
    fates = state.fates(call.workspace, call.rules)
    try:
        await asyncio.to_thread(_settle, state, body, gate, fates, lines)
        _check_queue(state, gate.count)
    except BaseException:
        lines.remove()
        raise
    number, created_at = len(state.shelf.all) + 1, state.now()
    duration = _duration(state, number)
    fates.keep(created_at + duration)
    return Batch(
        id=batch_id,
        number=number,
        workspace=call.workspace,
        created_at=created_at,
        total=gate.count,
        duration=duration,
        body=body,
        lines=lines,
        api_version=call.rules.version,
        betas=call.rules.betas,
    )


def _settle(state: State, body: Received, gate: Gate, fates: Fates, lines: Lines) -> None:
    """Reads the body and writes the result lines; raises `Refused` when the create is wrong."""
    try:
        with body.path.open("rb") as file:
            envelope = Envelope(file)
            lines.write(_lines(state, envelope, gate, fates))
    except BrokenJSONError as problem:
        raise invalid(f"The request body is not valid JSON: {problem}") from None
    except _Closing:
        raise Refused(503, "The emulator is stopping.", "api_error") from None
    if refusal := gate.verdict(found=envelope.found, wrong=envelope.wrong, extra=envelope.extra):
        raise invalid(refusal)
    lines.shuffle(f"{state.seed} {body.sha256}")


def _lines(state: State, envelope: Envelope, gate: Gate, fates: Fates) -> Iterator[tuple[bytes, int]]:
    for number, request in enumerate(envelope):
        if gate.admits(number, request):
            yield fates.line(request["custom_id"], request["params"])
        # Settling a large body takes seconds on its own thread, and a stop must not wait for it.
        if state.closing:
            raise _Closing


def _check_queue(state: State, count: int) -> None:
    cap = int(state.scenario.limits["queue"])
    now = state.now()
    if cap and state.shelf.waiting(now) + count > cap:
        ends = [batch.ends_at for batch in state.shelf.all.values() if batch.status(now) != "ended"]
        wait = (min(ends) - now) / state.clock.speed if ends else 60.0
        raise queue_full(max(1, round(wait + 0.5)))


def queue_full(retry_after: int) -> Refused:
    """Return the refusal of a create while the queue is full."""
    return Refused(429, QUEUE_FULL, headers={"retry-after": str(retry_after)})


def _duration(state: State, number: int) -> float:
    """Virtual seconds until every request has run, if nothing stops the batch before."""
    top = state.scenario.top
    spread = random.Random(f"{state.seed} spread {number}").random() * top["spread_seconds"]
    return max(AN_INSTANT, state.in_virtual(top["batch_seconds"] + spread))
