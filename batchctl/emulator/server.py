"""The routes, and the way every call goes: counted, admitted, struck by the script or carried out, and answered."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchctl.emulator import endpoints
from batchctl.emulator.admission import Call, admit, charge, stamp
from batchctl.emulator.control import control_routes
from batchctl.emulator.creating import create
from batchctl.emulator.downloading import results
from batchctl.emulator.refusal import Refused
from batchctl.emulator.state import State
from batchctl.emulator.striking import after, before

Work = Callable[[Call], Awaitable[Response]]

# method, path, the name faults know it by, what it does
ROUTES: tuple[tuple[str, str, str, Work], ...] = (
    ("POST", "/v1/messages/batches", "create", create),
    ("GET", "/v1/messages/batches", "list", endpoints.list_batches),
    ("GET", "/v1/messages/batches/{id}", "retrieve", endpoints.retrieve),
    ("POST", "/v1/messages/batches/{id}/cancel", "cancel", endpoints.cancel),
    ("GET", "/v1/messages/batches/{id}/results", "results", results),
    ("DELETE", "/v1/messages/batches/{id}", "delete", endpoints.delete),
    ("POST", "/v1/messages", "messages", endpoints.messages),
    ("POST", "/v1/messages/count_tokens", "count_tokens", endpoints.count_tokens),
    ("GET", "/v1/models", "models", endpoints.list_models),
    ("GET", "/v1/models/{id}", "models", endpoints.one_model),
)
_log = logging.getLogger("batchctl.emulator")


def application(state: State) -> Starlette:
    """The emulator as an ASGI application."""
    routes = [_route(state, *route) for route in ROUTES]
    refusing = {404: _misdirected(state), 405: _misdirected(state)}
    app = Starlette(routes=[*routes, *control_routes(state)], exception_handlers=refusing)
    app.router.redirect_slashes = False
    return app


def _route(state: State, method: str, path: str, name: str, work: Work) -> Route:
    async def endpoint(request: Request) -> Response:
        state.calls[f"{method} {path}"] += 1
        call = Call(request, state, name)
        return stamp(call, await _answer(call, work))

    return Route(path, endpoint, methods=[method])


async def _answer(call: Call, work: Work) -> Response:
    try:
        admit(call)
        call.fault = call.state.script.strike(call.endpoint, call.named)
        struck = await before(call)
        if struck is not None:
            return struck
        charge(call)
        return await after(call, await work(call))
    except Refused as refused:
        await _drain(call.request)
        return JSONResponse(refused.envelope(call.request_id), refused.status, refused.headers)
    except Exception:  # noqa: BLE001 - a defect of ours must not look like a broken connection
        _log.exception("the emulator itself failed")
        return JSONResponse(Refused(500).envelope(call.request_id), 500)


async def _drain(request: Request) -> None:
    """The API reads a body to its end before it refuses."""
    try:
        async for _ in request.stream():
            pass
    except RuntimeError:
        # It has been read already.
        return


def _misdirected(state: State) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(request: Request, problem: Exception) -> Response:
        state.calls["elsewhere"] += 1
        call = Call(request, state, "")
        status = problem.status_code if isinstance(problem, HTTPException) else 404
        refused = Refused(status, "Not found" if status == 404 else HTTPStatus(status).phrase)
        return stamp(call, JSONResponse(refused.envelope(call.request_id), status))

    return refuse
