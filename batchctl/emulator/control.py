"""The endpoints outside `/v1`, for tests: what happened so far, and changes to time, scenario and script. No key needed.

So no web page may give orders here: neither one of another origin, nor one whose name was made to lead to this machine.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from batchctl.emulator.clock import DAY
from batchctl.emulator.faults import fault_from
from batchctl.emulator.scenario import scenario_from
from batchctl.emulator.state import State

Work = Callable[[Request], Awaitable[Response]]
Act = Callable[[State, Any], dict[str, Any]]
PROBLEMS = (ValueError, AttributeError)
FARTHEST = 3650 * DAY
_HERE = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?", re.IGNORECASE)


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


def _refused(request: Request) -> Response | None:
    """What a browser is told that asks on behalf of a page; None for everybody else."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if _HERE.fullmatch(host) is None:
        return JSONResponse({"error": f"Host: {host!r} is not this machine"}, 403)
    if origin is not None and origin != f"http://{host}":
        return JSONResponse({"error": f"Origin: {origin!r} may not ask this"}, 403)
    return None


def _guarded(work: Work) -> Work:
    async def endpoint(request: Request) -> Response:
        return _refused(request) or await work(request)

    return endpoint


def _acting(state: State, act: Act) -> Work:
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
        Route("/_emulator/state", _guarded(told), methods=["GET"]),
        Route("/_emulator/batches/{id}/body", _guarded(body), methods=["GET"]),
        *(Route(f"/_emulator/{name}", _guarded(_acting(state, act)), methods=["POST"]) for name, act in acts.items()),
    ]
