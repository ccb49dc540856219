"""The endpoints outside `/v1`, for tests: what happened so far, and changes to time, scenario and script. No key needed."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from batchctl.emulator.clock import DAY
from batchctl.emulator.faults import fault_from
from batchctl.emulator.scenario import scenario_from
from batchctl.emulator.state import State

Act = Callable[[State, Any], dict[str, Any]]
PROBLEMS = (ValueError, AttributeError)
FARTHEST = 3650 * DAY


def _advance(state: State, body: Any) -> dict[str, Any]:
    seconds = body.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= FARTHEST:
        raise ValueError(f"seconds = {seconds!r}: must be a number from 0 to {FARTHEST:g}")
    state.clock.advance(float(seconds))
    return {"now": state.told()["now"]}


def _add_fault(state: State, body: Any) -> dict[str, Any]:
    fault = fault_from(body)
    state.script.faults.append(fault)
    return fault.listed()


def _set_scenario(state: State, body: Any) -> dict[str, Any]:
    state.follow(scenario_from(body))
    return state.told()


def _reset(state: State, _: Any) -> dict[str, Any]:
    state.reset()
    return state.told()


def _acting(state: State, act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            given = json.loads(body) if body else {}
            return JSONResponse(act(state, given))
        except PROBLEMS as problem:
            return JSONResponse({"error": str(problem)}, 400)

    return endpoint


def control_routes(state: State) -> list[Route]:
    """Routes below `/_emulator`."""

    async def told(_: Request) -> Response:
        return JSONResponse(state.told())

    async def body(request: Request) -> Response:
        batch = state.shelf.all.get(request.path_params["id"])
        if batch is None:
            return JSONResponse({"error": "no such batch"}, 404)
        return FileResponse(batch.body.path, media_type="application/octet-stream")

    acts: dict[str, Act] = {"advance": _advance, "faults": _add_fault, "scenario": _set_scenario, "reset": _reset}
    return [
        Route("/_emulator/state", told, methods=["GET"]),
        Route("/_emulator/batches/{id}/body", body, methods=["GET"]),
        *(Route(f"/_emulator/{name}", _acting(state, act), methods=["POST"]) for name, act in acts.items()),
    ]
