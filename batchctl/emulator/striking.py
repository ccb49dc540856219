"""What a scripted fault does to a call: refuse it before anything happens, or spoil the answer after it was carried out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from batchctl.emulator.admission import Call, stamp
from batchctl.emulator.clock import next_month
from batchctl.emulator.creating import queue_full
from batchctl.emulator.faults import AFTER, BEFORE
from batchctl.emulator.refusal import Refused, edge_page, no_results, unknown_batch
from batchctl.emulator.wire import Silence, Streamed, wire_of

# {day}: the first one of the next month, when access comes back.
SPEND = "You have reached your specified API usage limits. You will regain access on {day} at 00:00 UTC."
SPEND_CAP = "You have reached your API usage limits: you will regain access on {day} 00:00 UTC."
HOLD = "This organization is on hold."
CUT_UPLOAD = "The request body is not valid JSON: unexpected end of data"
# status, message, type (by the status when empty), error code
_PLAIN: Mapping[str, tuple[int, str, str, str | None]] = {
    "spend_limit_429": (429, SPEND_CAP, "", "enforced_spend_limit_reached"),
    "spend_limit_400": (400, SPEND, "", None),
    "on_hold": (400, HOLD, "", "organization_on_hold"),
    "invalid_json_400": (400, CUT_UPLOAD, "", None),
}


def _options(call: Call) -> Mapping[str, Any]:
    return call.fault.options if call.fault else {}


async def before(call: Call) -> Response | None:
    """Strikes a call that is not carried out; raises `Refused` or returns the answer; None when no such fault strikes."""
    if call.struck not in BEFORE:
        return None
    if call.struck == "drop_before_accept":
        return await _drop_before(call)
    if call.struck == "html_413":
        return Response(edge_page(413), 413, media_type="text/html")
    async for _ in call.request.stream():
        pass
    if call.struck == "html_status":
        status = int(_options(call)["status"])
        return Response(edge_page(status), status, media_type="text/html")
    raise _refusal(call)


def _refusal(call: Call) -> Refused:
    options = _options(call)
    if call.struck == "status":
        return _any_status(options)
    if call.struck == "queue_full":
        return queue_full(int(options["retry_after"]))
    if call.struck == "not_found":
        return no_results(call.batch_id, is_early=True) if call.endpoint == "results" else unknown_batch(call.batch_id)
    status, message, kind, error_code = _PLAIN[call.struck]
    return Refused(status, message.format(day=next_month(call.state.now())), kind, error_code)


def _any_status(options: Mapping[str, Any]) -> Refused:
    wait = int(options["retry_after"])
    headers = {"retry-after": str(wait)} if wait >= 0 else {}
    return Refused(options["status"], options["message"], options["type"], options["error_code"] or None, headers)


async def _drop_before(call: Call) -> Response:
    seen = 0
    async for piece in call.request.stream():
        seen += len(piece)
        if seen >= _options(call)["bytes"]:
            break
    wire_of(call.request.scope).hang_up()
    return Silence()


async def after(call: Call, answer: Response) -> Response:
    """Spoils the answer of a call that was carried out, when such a fault strikes it."""
    if call.struck not in _SPOILS or call.struck not in AFTER:
        return answer
    return await _SPOILS[call.struck](call, answer)


async def _drop(call: Call, _: Response) -> Response:
    wire_of(call.request.scope).hang_up()
    return Silence()


async def _error(call: Call, _: Response) -> Response:
    options = _options(call)
    if options["html"]:
        return Response(edge_page(options["status"]), options["status"], media_type="text/html")
    refused = _any_status(options)
    return JSONResponse(refused.envelope(call.request_id), refused.status, refused.headers)


async def _truncated(call: Call, answer: Response) -> Response:
    body = b"".join(answer.pieces) if isinstance(answer, Streamed) else bytes(answer.body)
    wire, headers = wire_of(call.request.scope), dict(stamp(call, answer).headers)
    if _options(call)["framing"] == "content-length":
        headers["content-length"] = str(len(body))
    else:
        headers.pop("content-length", None)
    await wire.head(headers)
    await wire.write(body[: len(body) // 2])
    wire.hang_up()
    return Silence()


async def _garbage(_: Call, answer: Response) -> Response:
    return Response(b'{"id":"msgbatch_01', answer.status_code, media_type="application/json")


async def _html(_: Call, answer: Response) -> Response:
    return Response(edge_page(200), answer.status_code, media_type="text/html")


async def _stall(call: Call, answer: Response) -> Response:
    await asyncio.sleep(_options(call)["seconds"])
    return answer


_SPOILS: Mapping[str, Callable[[Call, Response], Awaitable[Response]]] = {
    "drop_after_accept": _drop,
    "error_after_accept": _error,
    "truncated_answer": _truncated,
    "garbage_answer": _garbage,
    "html_answer": _html,
    "stall_after_accept": _stall,
}
