"""Who is calling and whether they may: key to workspace, version, betas, calls per minute; and the headers of answers."""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from batchctl.emulator.clock import http_date, rfc3339
from batchctl.emulator.faults import Fault
from batchctl.emulator.models import LONG_OUTPUT_BETA
from batchctl.emulator.refusal import Refused, invalid
from batchctl.emulator.state import State, new_id
from batchctl.emulator.validation import VERSION_A, VERSION_B, Rules

ORGANIZATION = "00000000-0000-4000-8000-000000000000"
WRONG_KEY = "sk-ant-wrong"
BETAS = frozenset({"message-batches-2024-09-24", LONG_OUTPUT_BETA, "oauth-2025-04-20", "webhooks-2026-10-07"})
# Announced when the scenario sets no cap: the API always sends a limit.
USUAL_RPM = 4000
_COMMA = re.compile(r"\s*,\s*")


@dataclass
class Call:
    """One call of an endpoint on its way through."""

    request: Request
    state: State
    endpoint: str
    request_id: str = field(default_factory=lambda: new_id("req"))
    workspace: str = ""
    rules: Rules = field(default_factory=Rules)
    fault: Fault | None = None

    @property
    def batch_id(self) -> str:
        """The id in the path of the call, or an empty text."""
        return str(self.request.path_params.get("id", ""))

    @property
    def named(self) -> tuple[str, int] | None:
        """Id and number of the batch this call is about, if there is one."""
        batch = self.state.shelf.all.get(self.batch_id)
        return (batch.id, batch.number) if batch else None

    @property
    def struck(self) -> str:
        """The name of the fault that strikes this call; empty when none does."""
        return self.fault.fault if self.fault else ""


def admit(call: Call) -> None:
    """Fills in workspace, version and betas; raises `Refused`."""
    call.workspace = _workspace(call)
    call.rules = Rules(_version(call.request), _betas(call), refuse=call.state.scenario.refuse)


def _workspace(call: Call) -> str:
    headers = call.request.headers
    key = headers.get("x-api-key") or ""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    known = call.state.scenario.keys
    # With both headers present, `x-api-key` wins.
    given = key or bearer
    if given == WRONG_KEY or not given:
        raise Refused(401)
    if known is not None:
        if given not in known:
            raise Refused(401)
        return workspace_id(known[given])
    if key and not key.startswith("sk-ant-"):
        raise Refused(401)
    return workspace_id(given)


def workspace_id(name: str) -> str:
    """`wrkspc_…`: the name itself when it is one, else derived from it, always the same."""
    return name if name.startswith("wrkspc_") else "wrkspc_01" + hashlib.sha256(name.encode()).hexdigest()[:22]


def _version(request: Request) -> str:
    version = request.headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in (VERSION_A, VERSION_B):
        raise invalid(f'anthropic-version: "{version}" is not a valid version.')
    return version


def _betas(call: Call) -> tuple[str, ...]:
    given = [beta for header in call.request.headers.getlist("anthropic-beta") for beta in _COMMA.split(header.strip())]
    betas = tuple(beta for beta in given if beta)
    allowed = BETAS.union(call.state.scenario.top["betas"])
    if unknown := [beta for beta in betas if beta not in allowed]:
        listed = ", ".join(f"`{beta}`" for beta in unknown)
        raise invalid(f"Unexpected value(s) {listed} for the `anthropic-beta` header.")
    return betas


def charge(call: Call) -> None:
    """Takes one call from the bucket; raises `Refused` with `retry-after` when the scenario caps it and it is empty."""
    state, cap = call.state, int(call.state.scenario.limits["rpm"])
    rpm, now = cap or USUAL_RPM, state.now()
    since = now - state.refilled_at if state.refilled_at is not None else 60.0
    state.tokens, state.refilled_at = min(float(rpm), state.tokens + since * rpm / 60), now
    if cap and state.tokens < 1:
        wait = (1 - state.tokens) * 60 / rpm / state.clock.speed
        raise Refused(429, headers={"retry-after": str(max(1, math.ceil(wait)))})
    state.tokens = max(0.0, state.tokens - 1)


def stamp(call: Call, response: Response) -> Response:
    """Adds the headers every answer has, and those of authenticated calls."""
    state, add = call.state, response.headers.__setitem__
    add("request-id", call.request_id)
    add("date", http_date(state.now()))
    if call.workspace:
        add("anthropic-organization-id", ORGANIZATION)
        add("anthropic-workspace-id", call.workspace)
        _stamp_limits(state, add)
    return response


def _stamp_limits(state: State, add: Callable[[str, str], None]) -> None:
    rpm = int(state.scenario.limits["rpm"]) or USUAL_RPM
    full_in = (rpm - state.tokens) * 60 / rpm
    add("anthropic-ratelimit-requests-limit", str(rpm))
    add("anthropic-ratelimit-requests-remaining", str(int(state.tokens)))
    add("anthropic-ratelimit-requests-reset", rfc3339(state.now() + full_in))
