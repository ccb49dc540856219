"""The endpoints under `/v1` but for create and results: what each answers when nothing is scripted to go wrong."""

import json
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from batchctl.emulator import answers
from batchctl.emulator.admission import Call
from batchctl.emulator.batches import AN_INSTANT, Batch, page
from batchctl.emulator.models import BY_NAME, MODELS, listed
from batchctl.emulator.outcomes import MISSHAPEN, SHAPELESS, Memory, is_cacheable
from batchctl.emulator.refusal import TOO_LARGE, Refused, invalid
from batchctl.emulator.tokens import weigh
from batchctl.emulator.validation import flaw_in
from batchctl.emulator.wire import Streamed

# Messages and count_tokens take less than a batch does.
LARGEST_BODY = 32_000_000
CANCEL_ENDED = "Message Batch {id} has already ended and cannot be canceled."


def _shown(call: Call, batch: Batch, now: float | None = None) -> dict[str, Any]:
    state = call.state
    at = state.now() if now is None else now
    shown = batch.listed(at, state.base_url, live=state.scenario.top["live_counters"])
    if call.struck == "wrong_counts":
        shown["request_counts"]["succeeded"] += 1
    return shown


def _found(call: Call) -> Batch:
    return call.state.shelf.find(call.batch_id, call.workspace)


async def retrieve(call: Call) -> Response:
    """`GET /v1/messages/batches/{id}`."""
    shown = _shown(call, _found(call))
    wait = call.state.scenario.top["retry_after"]
    told = wait is not False and shown["processing_status"] != "ended"
    return JSONResponse(shown, headers={"retry-after": str(wait)} if told else None)


async def list_batches(call: Call) -> Response:
    """`GET /v1/messages/batches`."""
    batches = call.state.shelf.visible(call.workspace)
    if call.struck == "hide_from_list":
        batches = batches[1:]
    seen = [batch for batch in batches if not batch.hidden_lists]
    for batch in batches:
        batch.hidden_lists = max(0, batch.hidden_lists - 1)
    # Only what is on the page is worth showing: a batch's counts are read from disk.
    answer = page([{"id": batch.id, "batch": batch} for batch in seen], call.request.query_params)
    answer["data"] = [_shown(call, each["batch"]) for each in answer["data"]]
    return JSONResponse(answer)


async def cancel(call: Call) -> Response:
    """`POST /v1/messages/batches/{id}/cancel`."""
    batch, state, top = _found(call), call.state, call.state.scenario.top
    now = state.now()
    if batch.status(now) == "ended" and top["cancel_ended"] == 400:
        raise invalid(CANCEL_ENDED.format(id=batch.id))
    batch.cancel(now, max(AN_INSTANT, state.in_virtual(top["cancel_seconds"])), top["finished_at_cancel"])
    return JSONResponse(_shown(call, batch, now))


async def delete(call: Call) -> Response:
    """`DELETE /v1/messages/batches/{id}`."""
    batch = _found(call)
    batch.delete(call.state.now())
    return JSONResponse({"id": batch.id, "type": "message_batch_deleted"})


async def list_models(call: Call) -> Response:
    """`GET /v1/models`."""
    query = call.request.query_params
    wanted = query.getlist("lifecycle[]") or query.getlist("lifecycle") or ["active", "deprecated"]
    found = [listed(model, call.state.started_at) for model in MODELS if model.lifecycle in wanted]
    return JSONResponse(page(found, query))


async def one_model(call: Call) -> Response:
    """`GET /v1/models/{id}`, by id or alias."""
    model = BY_NAME.get(call.batch_id)
    if model is None:
        raise Refused(404, f"model: {call.batch_id}")
    return JSONResponse(listed(model, call.state.started_at))


async def _params(call: Call, *, counting: bool) -> dict[str, Any]:
    """The body of a call about one Messages request; raises `Refused` as the API does at once, not per line."""
    body = b""
    async for piece in call.request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise Refused(413, TOO_LARGE["error"]["message"])
    try:
        params = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise invalid(f"The request body is not valid JSON: {problem}") from None
    if not isinstance(params, dict):
        raise invalid("Input should be a valid dictionary or object to extract fields from")
    rules = replace(call.rules, batch=False, counting=counting)
    try:
        flaw = flaw_in(params, rules)
    except SHAPELESS:
        flaw = MISSHAPEN
    if flaw:
        raise Refused(404 if flaw.type == "not_found_error" else 400, flaw.message)
    return params


async def count_tokens(call: Call) -> Response:
    """`POST /v1/messages/count_tokens`."""
    params = await _params(call, counting=True)
    try:
        return JSONResponse({"input_tokens": weigh(params).tokens})
    except SHAPELESS:
        raise invalid(MISSHAPEN.message) from None


async def messages(call: Call) -> Response:
    """`POST /v1/messages`, plain or as server-sent events."""
    params = await _params(call, counting=False)
    try:
        whole = _message(call, params)
        plain = JSONResponse(whole)
    except SHAPELESS:
        raise invalid(MISSHAPEN.message) from None
    return Streamed(answers.events(whole), "text/event-stream") if params.get("stream") else plain


def _message(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    state = call.state
    asked = {key: value for key, value in params.items() if key != "stream"}
    drawn = state.dice.drawn("", json.dumps(asked, sort_keys=True))
    content, stop, output = state.author.content(params, drawn)
    weight = weigh(params)
    memory = state.memories.setdefault(call.workspace, Memory())
    cached = ("read" if weight.prefix in memory.live else "written") if is_cacheable(params, weight) else ""
    memory.live.add(weight.prefix)
    used = answers.usage(weight, output, tier="standard", cached=cached)
    return answers.message(params, drawn, {"content": content, "stop_reason": stop, "usage": used})
