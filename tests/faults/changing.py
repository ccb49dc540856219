"""The emulator behind a layer that changes its answers, and keeps what was asked of it and what it sent.

The layer stands between the emulator's routes and its connection, so that nothing but the bytes of an answer is played.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any
from urllib.parse import urlencode

import pytest
from faults.changes import CURSOR_IGNORED, EACH, Change, OutcomeCode, Part, Place, encoded
from starlette.datastructures import QueryParams
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchctl.emulator import listening
from batchctl.emulator.batches import page
from batchctl.emulator.refusal import Refused
from batchctl.emulator.server import ROUTES, application
from batchctl.emulator.state import State

LONGEST_PAGE = 1000
# The kind of a change that is made to a Message Batch wherever it is shown: as a later API would say it.
EVERY_BATCH = "every batch"
SHOWS_BATCHES: Mapping[str, Place] = {"create": (), "retrieve": (), "cancel": (), "list": ("data", EACH)}


# Of the statuses from 400 to 499, those that leave open whether the service went on behind the answer.
UNSETTLED = {408, 409, 499}


class When(Enum):
    """Which answers of its kind a change is made to."""

    ALWAYS = "every answer"
    FIRST = "the first answer"
    FIRST_AFTER_CREATE = "the first answer after a create"


@dataclass(frozen=True)
class Answer:
    """An answer that is whole. `kind`: the name of its endpoint, with `error` behind it for a status of 400 or more."""

    kind: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_lines(self) -> bool:
        return self.kind == "results"

    def parsed(self) -> list[Any]:
        """The JSON of the body, or of each of its lines."""
        return [json.loads(piece) for piece in (self.body.splitlines() if self.is_lines else [self.body])]


@dataclass(frozen=True)
class Create:
    """A create as the far end knows it. `status`: None where no answer was sent.

    `is_named`: the answer has the batch's id; `has_envelope`: it is an error in the API's own form.
    """

    body_sha256: str
    status: int | None
    is_named: bool
    has_envelope: bool

    @property
    def is_refused(self) -> bool:
        """Whether the answer was a definite no."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in UNSETTLED

    @property
    def is_unknown(self) -> bool:
        """Whether the far end has said neither a name nor a definite no."""
        return not self.is_refused and not self.is_named

    @property
    def may_need_person(self) -> bool:
        """Whether its sender may not be able to tell what became of it: a refusal that is not the API's own proves little."""
        return self.is_unknown or (self.is_refused and not self.has_envelope)


@dataclass
class ChangingApi:
    """What lies between the emulator and its caller. It changes nothing until `change` is set.

    `page_size`: the most entries of a page of Message Batches, whatever was asked for, so that a short list has several.
    """

    page_size: int = LONGEST_PAGE
    change: Change | None = None
    when: When = When.ALWAYS
    struck: int = 0
    answers: list[Answer] = field(default_factory=list)
    creates: list[Create] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    # By the custom_id that the emulator wrote, whatever became of it on the way.
    lines: dict[str, set[bytes]] = field(default_factory=dict)

    def begin(self, change: Change | None, when: When) -> None:
        """Makes this change from here on."""
        self.change, self.when, self.struck = change, when, 0
        self._creates_before = len(self.creates)

    def over(self, state: State) -> ASGIApp:
        """The application of the emulator with this layer over it."""
        self.state = state
        self._inner = application(state)
        return self

    # ------------------------------------------------------------------ one call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = _endpoint(scope)
        if not endpoint:
            await self._inner(scope, receive, send)
            return
        self.calls[endpoint] += 1
        received = hashlib.sha256()
        sent: list[Message] = []

        async def receiving() -> Message:
            message = await receive()
            received.update(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            sent.append(message)

        await self._inner(_with_long_page(scope) if endpoint == "list" else scope, receiving, sending)
        answer = self._answer(endpoint, scope, sent)
        if endpoint == "create":
            newest = next(reversed(self.state.shelf.all), "")
            self.creates.append(_create(received.hexdigest(), answer, newest))
        if answer is not None:
            await _send(answer, send)

    def _answer(self, endpoint: str, scope: Scope, sent: list[Message]) -> Answer | None:
        """None where the emulator has dealt with the connection below HTTP."""
        if not sent:
            return None
        status = sent[0]["status"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        kind = endpoint if status < 400 else f"{endpoint} error"
        answer = Answer(kind, status, headers, body)
        if kind == "list":
            answer = self._page(scope, answer)
        self.answers.append(answer)
        return self._changed(answer)

    def _page(self, scope: Scope, answer: Answer) -> Answer:
        """A page of our own: an order is one of the whole list, and the emulator's pages are long."""
        entries = json.loads(answer.body)["data"]
        query = dict(QueryParams(scope["query_string"]))
        if self.change is not None and self.change.part is Part.ORDER:
            entries = self.change.operation.change(entries)
            self.struck += 1
            if self.change.operation is CURSOR_IGNORED:
                query.pop("after_id", None)
        limit = min(int(query.get("limit", LONGEST_PAGE)), self.page_size)
        try:
            return replace(answer, body=encoded(page(entries, {**query, "limit": str(limit)})))
        except Refused as refused:
            # A cursor that nobody knows, since a change has made it.
            body = encoded(refused.envelope(answer.headers["request-id"]))
            return replace(answer, kind="list error", status=refused.status, body=body)

    # ------------------------------------------------------------------ the change

    def _due(self, answer: Answer) -> Change | None:
        """The change to make to this answer."""
        if self.when is When.FIRST_AFTER_CREATE and len(self.creates) == self._creates_before:
            return None
        if self.change is None or (self.when is not When.ALWAYS and self.struck):
            return None
        return _at(self.change, answer.kind)

    def _changed(self, answer: Answer) -> Answer:
        change = self._due(answer)
        made = _made(change, answer) if change else answer
        self.struck += made is not answer
        if answer.is_lines:
            self._keep_lines(answer, change if made is not answer else None)
        return made

    def _keep_lines(self, answer: Answer, change: Change | None) -> None:
        for line in answer.body.splitlines():
            parsed = json.loads(line)
            changed = change.of_body(parsed) if change and change.part is Part.BODY else parsed
            if changed is not OutcomeCode.DROPPED:
                self.lines.setdefault(parsed["custom_id"], set()).add(line if changed is parsed else encoded(changed))


_PATHS = [(method, compile_path(path)[0], name, path) for method, path, name, _ in ROUTES]


def _endpoint(scope: Scope) -> str:
    """As the emulator's faults name it, and one model apart from the list of them; empty outside of the API."""
    for method, pattern, name, path in _PATHS:
        if scope["type"] == "http" and scope["method"] == method and pattern.match(scope["path"]):
            return "model" if name == "models" and "{" in path else name
    return ""


def _with_long_page(scope: Scope) -> Scope:
    return {**scope, "query_string": urlencode({"limit": LONGEST_PAGE}).encode()}


def _create(body_sha256: str, answer: Answer | None, newest: str) -> Create:
    """`newest`: the id of the newest batch of the emulator."""
    said: Any = None
    if answer is not None:
        with suppress(ValueError, RecursionError):
            said = json.loads(answer.body)
    found = said if isinstance(said, dict) else {}
    status = answer.status if answer else None
    is_named = status is not None and status < 400 and found.get("id") == newest
    return Create(body_sha256, status, is_named, isinstance(found.get("error"), dict))


def _at(change: Change, kind: str) -> Change | None:
    """The change as it is made to answers of this kind."""
    if change.kind == kind:
        return change
    if change.kind != EVERY_BATCH or kind not in SHOWS_BATCHES:
        return None
    return replace(change, kind=kind, place=(*SHOWS_BATCHES[kind], *change.place))


def _made(change: Change, answer: Answer) -> Answer:
    """The answer with the change; the answer itself where there was nothing to change."""
    if change.part is Part.ORDER:
        return answer
    if change.part is Part.HEADERS:
        headers = change.of_headers(answer.headers)
        return answer if headers is answer.headers else replace(answer, headers=headers)
    before = answer.parsed()
    after = [change.of_body(one) for one in before]
    if all(one is other for one, other in zip(before, after, strict=True)):
        return answer
    if not answer.is_lines:
        return replace(answer, body=encoded(after[0]))
    lines = [encoded(one) + b"\n" for one in after if one is not OutcomeCode.DROPPED]
    return replace(answer, body=b"".join(lines))


async def _send(answer: Answer, send: Send) -> None:
    headers = dict(answer.headers)
    if "content-length" in headers:
        headers["content-length"] = str(len(answer.body))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


@contextmanager
def changing(page_size: int = LONGEST_PAGE) -> Iterator[ChangingApi]:
    """A layer over the next emulator that is started in this process."""
    layer = ChangingApi(page_size)
    with pytest.MonkeyPatch.context() as system:
        system.setattr(listening, "application", layer.over)
        yield layer
