"""Answers of another form than today's: what is still known from them, and what nobody may conclude.

A batch that is named is there, whatever else is odd; what cannot be read is not absent.
"""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from cases import few
from loopback import Answer, always, answering, as_json

from batchctl.api import translate
from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Body, Page
from batchctl.domain.api_failures import AfterCreate, AfterRead, after_create, after_read, is_proven
from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import MessageBatch, ProcessingStatus, RequestCounts

COUNTS = {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
SHAPE: dict[str, Any] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": COUNTS,
    "created_at": "2026-11-21T12:00:00.000001+00:00",
    "expires_at": "2026-11-22T12:00:00Z",
    "ended_at": None,
    "archived_at": None,
}
WHOLE = json.dumps(SHAPE).encode()
CREATED_AT = datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC)
GONE: Any = ...
DEPTH = 100_000
DEEP = b"[" * DEPTH + b"]" * DEPTH
ENDED_AT = "2026-11-21T13:00:00Z"

Connect = Callable[..., SdkMessageBatches]


def shape(**changes: Any) -> dict[str, Any]:
    """As the API describes a batch, with other values; GONE takes a field out."""
    return {name: value for name, value in {**SHAPE, **changes}.items() if value is not GONE}


def create(message_batches: SdkMessageBatches) -> MessageBatch:
    return message_batches.create(Body([b"{}"], 2)).batch


def failure_of(call: Callable[[], object]) -> ApiFailure:
    with pytest.raises(ApiFailure) as raised:
        call()
    return raised.value


# ---------------------------------------------------------------- the fields of a batch


def test_what_the_api_says_today_is_read_whole() -> None:
    assert translate.message_batch(SHAPE) == MessageBatch(
        id="msgbatch_1",
        processing_status=ProcessingStatus.IN_PROGRESS,
        counts=RequestCounts(processing=3),
        created_at=CREATED_AT,
        expires_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )


NO_TIMES: list[Any] = [
    5,
    True,
    "",
    "soon",
    "12:00",
    [],
    {},
    ["2026-11-21T12:00:00Z"],
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "99999-01-01T00:00:00Z",
    "2026-11-21T12:00:00+99:00",
    "2" * 5_000,
]


@pytest.mark.parametrize("said", [GONE, None, *NO_TIMES], ids=lambda said: repr(said)[:20])
@pytest.mark.parametrize("name", ["created_at", "expires_at"])
def test_a_time_that_cannot_be_read_is_not_known_and_is_named(name: str, said: object) -> None:
    found = translate.message_batch(shape(**{name: said}))
    assert (getattr(found, name), found.unread) == (None, (name,))
    assert (found.id, found.counts, found.processing_status) == (
        "msgbatch_1",
        RequestCounts(processing=3),
        ProcessingStatus.IN_PROGRESS,
    )


@pytest.mark.parametrize("name", ["ended_at", "archived_at"])
def test_a_time_that_may_be_missing_is_unread_only_where_something_is_said(name: str) -> None:
    for said in (GONE, None):
        assert translate.message_batch(shape(**{name: said})).unread == ()
    for said in NO_TIMES:
        found = translate.message_batch(shape(**{name: said}))
        assert (getattr(found, name), found.unread) == (None, (name,))


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-11-21T12:00:00.000001Z", CREATED_AT),
        ("2026-11-21T12:00:00.000001", CREATED_AT),
        ("2026-11-21T21:00:00.000001+09:00", CREATED_AT),
        ("2026-11-21 12:00:00.000001+00:00", CREATED_AT),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_every_form_of_the_standard_and_in_utc(said: str, at: datetime) -> None:
    found = translate.message_batch(shape(created_at=said))
    assert (found.created_at, found.unread) == (at, ())


NO_NUMBERS: list[Any] = ["3", 1.0, True, -1, None, [], 10**30, float("nan")]
NO_COUNTS: list[Any] = [
    GONE,
    None,
    5,
    "3",
    [3],
    {},
    *({name: n for name, n in COUNTS.items() if name != missing} for missing in COUNTS),
    *({**COUNTS, name: said} for name in COUNTS for said in NO_NUMBERS),
    dict.fromkeys(COUNTS, 0),
    {**COUNTS, "processing": 10_000_001},
    dict.fromkeys(COUNTS, 9_000_000),
]


@pytest.mark.parametrize("said", NO_COUNTS, ids=lambda said: repr(said)[:60])
def test_counters_are_known_together_or_not_at_all(said: object) -> None:
    """One of them alone, or a sum of 0, would be the size of another batch."""
    found = translate.message_batch(shape(request_counts=said))
    assert (found.counts, found.size, found.unread) == (None, None, ("request_counts",))
    assert found.created_at == CREATED_AT


def test_counters_that_the_api_may_add_take_nothing_away() -> None:
    found = translate.message_batch(shape(request_counts={**COUNTS, "held": 2, "why": None}, brand_new={"x": [1]}))
    assert (found.counts, found.size, found.unread) == (RequestCounts(processing=3), 3, ())


NO_STATUS: list[Any] = [GONE, None, 5, [], {}, "", "ENDED", "validating"]
IN_PROGRESS, CANCELING, ENDED = ProcessingStatus.IN_PROGRESS, ProcessingStatus.CANCELING, ProcessingStatus.ENDED


@pytest.mark.parametrize(
    ("changes", "status", "unread"),
    [
        ({"processing_status": "canceling"}, CANCELING, ()),
        ({"processing_status": "ended", "ended_at": ENDED_AT}, ENDED, ()),
        # It says so itself: that its time is missing takes nothing away.
        ({"processing_status": "ended"}, ENDED, ()),
        ({"processing_status": "in_progress", "ended_at": ENDED_AT}, IN_PROGRESS, ()),
        *(({"processing_status": said}, IN_PROGRESS, ("processing_status",)) for said in NO_STATUS),
        *(
            ({"processing_status": said, "ended_at": ENDED_AT}, ENDED, ("processing_status",))
            for said in (GONE, None, 5, "validating")
        ),
        ({"processing_status": GONE, "ended_at": "soon"}, IN_PROGRESS, ("ended_at", "processing_status")),
        ({"processing_status": GONE, "archived_at": ENDED_AT}, IN_PROGRESS, ("processing_status",)),
    ],
)
def test_nothing_is_taken_for_ended_that_does_not_say_so(
    changes: dict[str, Any], status: ProcessingStatus, unread: tuple[str, ...]
) -> None:
    found = translate.message_batch(shape(**changes))
    assert (found.processing_status, found.unread) == (status, unread)


def test_of_an_id_alone_nothing_else_is_known() -> None:
    unread = ("created_at", "expires_at", "processing_status", "request_counts")
    assert translate.message_batch({"id": "msgbatch_1"}) == MessageBatch(id="msgbatch_1", unread=unread)


NO_IDS: list[Any] = [GONE, None, 5, True, [], {}, "", " ", "\t", "a\nb", "a\x00", "\ud800", "\u202ea", "x" * 129]


@pytest.mark.parametrize("said", NO_IDS, ids=lambda said: repr(said)[:20])
def test_without_an_id_that_can_be_read_it_is_no_batch(said: object) -> None:
    failure = failure_of(lambda: translate.message_batch(shape(id=said)))
    assert (failure.status, after_create(failure)) == (200, AfterCreate.ACCEPTED)


@pytest.mark.parametrize("said", ["msgbatch_1", "x" * 128, "batch-7", "é", "a b"])
def test_an_id_is_opaque(said: str) -> None:
    assert translate.message_batch(shape(id=said)).id == said


# ---------------------------------------------------------------- the answer to a create

CREATED = [
    (WHOLE, "msgbatch_1"),
    (b'{"id":"msgbatch_1"}', "msgbatch_1"),
    (json.dumps(shape(request_counts=None, created_at=5, processing_status=[])).encode(), "msgbatch_1"),
    (json.dumps(shape(id="batch-7")).encode(), "batch-7"),
    (b"\xef\xbb\xbf" + WHOLE, "msgbatch_1"),
    (WHOLE.decode().encode("utf-16"), "msgbatch_1"),
    (json.dumps(shape(more="x" * 100_000)).encode(), "msgbatch_1"),
    # Cut, or no JSON at all: the id may have come.
    *((WHOLE[:cut], "msgbatch_1") for cut in (20, 40, len(WHOLE) - 1)),
    (b'{"type":"message_batch", "id" : "msgbatch_1", "proc', "msgbatch_1"),
    (WHOLE + b"}", "msgbatch_1"),
    (WHOLE + b"\nfrom a proxy", "msgbatch_1"),
    (b'{"id":"msgbatch_1","request_counts":{"processing":' + b"9" * 5_000 + b"}}", "msgbatch_1"),
    (b'{"id":"msgbatch_1","more":' + DEEP + b"}", "msgbatch_1"),
    (b'{"id":"msgbatch_1","more":"' + b"x" * (5 << 20) + b'"}', "msgbatch_1"),
]
UNNAMED = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b'"msgbatch_1"',
    b"<html>OK</html>",
    b"\xff\xfe\x00",
    b"\x00" * 10,
    b'{"id":"msgbatch_1',
    b'{"id":"msgbatch_',
    b'{"id":"msgbatch_","type"',
    b'{"id":"msgbatch_' + b"1" * 120 + b'","type"',
    b'{"id":"msgbatch_1\\u000a","type"',
    b'{"id":null}',
    b'{"id":5}',
    b'{"id":""}',
    b'{"id":["msgbatch_1"]}',
    b'[{"id":"msgbatch_1"}]',
    b'{"message_batch":{"id":"msgbatch_1"}}',
    b'{"type":"error","error":{"type":"api_error","message":"no"},"request_id":"req_1"}',
    DEEP,
    b'{"more":"' + b"x" * (5 << 20) + b'"}',
]
FIRST = 60


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(("body", "name"), CREATED, ids=lambda value: str(value[:FIRST]))
def test_a_2xx_with_an_id_is_that_batch_whatever_else_is_odd(
    connect: Connect, body: bytes, name: str, status: int
) -> None:
    with answering(always((status, {"content-type": "application/json"}, body))) as server:
        assert create(connect(server.url)).id == name
        assert len(server.asked) == 1


@pytest.mark.parametrize("body", UNNAMED, ids=lambda value: str(value[:FIRST]))
@pytest.mark.parametrize("status", [200, 202])
def test_a_2xx_without_an_id_was_accepted_and_nobody_knows_as_which_batch(
    connect: Connect, body: bytes, status: int
) -> None:
    with answering(always((status, {"request-id": "req_7"}, body))) as server:
        failure = failure_of(lambda: create(connect(server.url)))
        assert len(server.asked) == 1
    assert (failure.status, failure.request_id, after_create(failure)) == (status, "req_7", AfterCreate.ACCEPTED)
    assert not is_proven(failure)


def test_a_204_was_accepted_too(connect: Connect) -> None:
    with answering(always((204, {}, b""))) as server:
        assert after_create(failure_of(lambda: create(connect(server.url)))) is AfterCreate.ACCEPTED


@contextmanager
def saying(pieces: bytes, *, by_reset: bool) -> Iterator[str]:
    """A server that says these bytes to one request, and then breaks the connection; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                got = b""
                while not got.endswith(b"\r\n\r\n{}"):
                    got += link.recv(1 << 16)
                link.sendall(pieces)
                if by_reset:
                    # What was sent must have been read before: a reset throws away what was not.
                    reading.wait(0.3)
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

        reading = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=10)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BY_LENGTH = HEAD + b"Content-Length: 500\r\n\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = HEAD + b"Connection: close\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("by_reset", few([True, False], 0), ids=["reset", "closed"])
@pytest.mark.parametrize(
    ("said", "name"),
    [
        (BY_LENGTH, ""),
        (BY_LENGTH + WHOLE[:15], ""),
        (BY_LENGTH + WHOLE[:20], "msgbatch_1"),
        (BY_LENGTH + WHOLE, "msgbatch_1"),
        (IN_CHUNKS, ""),
        (IN_CHUNKS + b"14\r\n" + WHOLE[:15], ""),
        (IN_CHUNKS + b"14\r\n" + WHOLE[:20] + b"\r\n", "msgbatch_1"),
        (IN_CHUNKS + b"14\r\n" + WHOLE[:20] + b"\r\nno chunk\r\n", "msgbatch_1"),
        (TO_THE_END, ""),
        (TO_THE_END + WHOLE[:20], "msgbatch_1"),
    ],
)
def test_a_connection_that_breaks_while_a_200_is_read_leaves_the_batch_or_that_it_was_accepted(
    connect: Connect, said: bytes, name: str, *, by_reset: bool
) -> None:
    with saying(said, by_reset=by_reset) as url:
        message_batches = connect(url)
        if name:
            assert create(message_batches).id == name
            return
        failure = failure_of(lambda: create(message_batches))
    assert (failure.status, after_create(failure)) == (200, AfterCreate.ACCEPTED)


class Breaking(httpx2.SyncByteStream):
    """A body that breaks after some bytes."""

    def __init__(self, given: bytes, error: Exception) -> None:
        self._given = given
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield self._given
        raise self._error


@pytest.mark.parametrize(
    "error", [httpx2.ReadTimeout("slow"), httpx2.ReadError("gone"), httpx2.RemoteProtocolError("cut")]
)
def test_however_it_breaks(error: Exception) -> None:
    named = httpx2.Response(200, stream=Breaking(WHOLE[:50], error))
    assert translate.created(named).id == "msgbatch_1"
    failure = failure_of(lambda: translate.created(httpx2.Response(200, stream=Breaking(WHOLE[:5], error))))
    assert (failure.status, after_create(failure)) == (200, AfterCreate.ACCEPTED)
    assert str(error) in failure.message


@pytest.mark.parametrize(
    ("body", "name"),
    [(gzip.compress(WHOLE, mtime=0), "msgbatch_1"), (b"no gzip", ""), (gzip.compress(WHOLE, mtime=0)[:15], "")],
)
def test_an_answer_that_cannot_be_unpacked_was_accepted(connect: Connect, body: bytes, name: str) -> None:
    with answering(always((200, {"content-encoding": "gzip"}, body))) as server:
        message_batches = connect(server.url)
        if name:
            assert create(message_batches).id == name
        else:
            assert after_create(failure_of(lambda: create(message_batches))) is AfterCreate.ACCEPTED


@pytest.mark.parametrize("status", [301, 400, 413, 429, 500])
def test_an_id_in_a_refusal_is_no_batch(connect: Connect, status: int) -> None:
    with answering(always((status, {}, WHOLE))) as server:
        failure = failure_of(lambda: create(connect(server.url)))
    assert (failure.status, failure.is_from_api, is_proven(failure)) == (status, False, False)


# ---------------------------------------------------------------- one batch that was asked for


@pytest.mark.parametrize("said", NO_IDS, ids=lambda said: repr(said)[:20])
def test_an_answer_without_an_id_is_about_the_batch_that_was_asked_for(connect: Connect, said: object) -> None:
    with answering(always(as_json(shape(id=said)))) as server:
        message_batches = connect(server.url)
        for seen in (message_batches.retrieve("msgbatch_7"), message_batches.cancel("msgbatch_7")):
            assert (seen.batch.id, seen.batch.size) == ("msgbatch_7", 3)


def test_an_answer_about_another_batch_is_a_failure_that_passes(connect: Connect) -> None:
    with answering(always(as_json(SHAPE))) as server:
        message_batches = connect(server.url)
        assert message_batches.retrieve("msgbatch_1").batch.id == "msgbatch_1"
        for call in (message_batches.retrieve, message_batches.cancel):
            failure = failure_of(lambda call=call: call("msgbatch_7"))  # type: ignore[misc]
            assert (failure.status, after_read(failure)) == (200, AfterRead.AGAIN)


@pytest.mark.parametrize("changes", [{}, {"request_counts": None}, {"processing_status": 5}, {"created_at": "soon"}])
def test_a_batch_is_described_alike_wherever_it_is_shown(connect: Connect, changes: dict[str, Any]) -> None:
    said = shape(**changes)
    with answering(always(as_json(said))) as server:
        message_batches = connect(server.url)
        created, retrieved = create(message_batches), message_batches.retrieve("msgbatch_1").batch
    with answering(always(as_json({"data": [said], "has_more": False}))) as server:
        (listed,) = connect(server.url).page().batches
    assert created == retrieved == listed
    assert created.unread == tuple(sorted(changes))


# ---------------------------------------------------------------- the list

ONE, TWO = SHAPE, {**SHAPE, "id": "msgbatch_2"}
BOTH = ["msgbatch_1", "msgbatch_2"]

NO_CURSORS: list[Any] = [None, 5, "", [], {}]
NO_ANSWERS: list[Any] = [None, "false", 0, 1, [], {}]
PAGES: list[tuple[dict[str, Any], list[str], str, bool]] = [
    ({"data": [], "has_more": False}, [], "", True),
    ({"data": [], "has_more": False, "last_id": "msgbatch_2"}, [], "", True),
    ({"data": [ONE, TWO], "has_more": False, "last_id": "msgbatch_2"}, BOTH, "", True),
    ({"data": [ONE, TWO], "has_more": True, "last_id": "msgbatch_2"}, BOTH, "msgbatch_2", True),
    # The cursor is the API's own; where it is missing or odd, the last entry is one.
    ({"data": [ONE, TWO], "has_more": True, "last_id": "msgbatch_0"}, BOTH, "msgbatch_0", True),
    *(({"data": [ONE, TWO], "has_more": True, "last_id": last}, BOTH, "msgbatch_2", True) for last in NO_CURSORS),
    ({"data": [ONE, TWO], "has_more": True}, BOTH, "msgbatch_2", True),
    # Where it does not say whether there are more, there may be.
    *(
        ({"data": [ONE, TWO], "has_more": more, "last_id": "msgbatch_2"}, BOTH, "msgbatch_2", True)
        for more in NO_ANSWERS
    ),
    ({"data": [ONE, TWO]}, BOTH, "msgbatch_2", True),
    ({"data": []}, [], "", False),
    # More, and no way to them: what is missing may be there.
    ({"data": [], "has_more": True}, [], "", False),
    ({"data": [], "has_more": True, "last_id": None}, [], "", False),
    ({"data": [], "has_more": True, "last_id": ""}, [], "", False),
    ({"data": [], "has_more": True, "last_id": "msgbatch_9"}, [], "msgbatch_9", True),
    # An entry without an id may be ours. It hides none of the others.
    *(
        ({"data": [odd, ONE, odd, TWO, odd], "has_more": False}, BOTH, "", False)
        for odd in (5, None, "msgbatch_9", [], {}, [ONE], shape(id=GONE), shape(id=None), shape(id=7), shape(id=""))
    ),
    ({"data": [ONE, {}, TWO], "has_more": True, "last_id": "msgbatch_2"}, BOTH, "msgbatch_2", False),
    ({"data": [ONE, TWO, {}], "has_more": True}, BOTH, "msgbatch_2", False),
    ({"data": [{}], "has_more": True}, [], "", False),
    ({"data": [{}]}, [], "", False),
    # One that has its id is whole enough, whatever else cannot be read.
    ({"data": [ONE, {"id": "msgbatch_2"}], "has_more": False}, BOTH, "", True),
    ({"data": [ONE, TWO], "has_more": False, "data_more": [5], "brand_new": DEPTH}, BOTH, "", True),
]


@pytest.mark.parametrize(("said", "names", "after", "is_whole"), PAGES)
def test_a_page_says_what_it_shows_where_the_next_one_is_and_whether_all_of_it_could_be_read(
    connect: Connect, said: dict[str, Any], names: list[str], after: str, *, is_whole: bool
) -> None:
    with answering(always(as_json(said))) as server:
        page: Page = connect(server.url).page()
    assert ([b.id for b in page.batches], page.after, page.is_whole) == (names, after, is_whole)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[]", b'{"data":5}', b'{"data":null}', b'{"data":{"id":"msgbatch_1"}}', WHOLE, DEEP]
)
def test_what_is_no_list_is_a_failure_and_never_an_empty_one(connect: Connect, body: bytes) -> None:
    with answering(always(as_json(body))) as server:
        failure = failure_of(connect(server.url).page)
    assert (failure.status, after_read(failure)) == (200, AfterRead.AGAIN)


# ---------------------------------------------------------------- nested deeper than can be read


@pytest.mark.parametrize("body", [DEEP, b'{"a":' * DEPTH + b"1" + b"}" * DEPTH, b"[" * DEPTH], ids=len)
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_json_that_is_nested_too_deep_is_a_failure_like_any_other(connect: Connect, body: bytes, status: int) -> None:
    with answering(always((status, {"content-type": "application/json"}, body))) as server:
        message_batches = connect(server.url)
        calls: list[Callable[[], object]] = [
            lambda: create(message_batches),
            lambda: message_batches.retrieve("msgbatch_1"),
            lambda: message_batches.cancel("msgbatch_1"),
            message_batches.page,
            message_batches.models,
            lambda: message_batches.model("claude-haiku-4-5"),
            lambda: message_batches.count_tokens(b"{}"),
        ]
        for call in calls:
            failure = failure_of(call)
            assert (failure.status, failure.has_envelope, failure.is_from_api) == (status, False, False)


def test_a_field_that_is_nested_too_deep_hides_no_batch_from_the_list_that_can_be_read(connect: Connect) -> None:
    """The page cannot be read at all: that is a failure, and no list without the batch."""
    body = b'{"data":[' + WHOLE[:-1] + b',"more":' + DEEP + b'}],"has_more":false}'
    with answering(always(as_json(body))) as server:
        assert after_read(failure_of(connect(server.url).page)) is AfterRead.AGAIN


# ---------------------------------------------------------------- who answered

FORM: dict[str, Any] = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
NAMED = {"request-id": "req_1"}

ANSWERED: list[tuple[dict[str, str], Any, bool, bool]] = [
    (NAMED, FORM, True, True),
    ({}, {**FORM, "request_id": "req_1"}, True, True),
    (NAMED, {**FORM, "request_id": None}, True, True),
    (NAMED, {**FORM, "error": {"type": "brand_new_error"}}, True, True),
    # Its form, and no request: a gateway that writes the same form.
    ({}, FORM, True, False),
    ({}, {**FORM, "request_id": None}, True, False),
    ({}, {**FORM, "request_id": ""}, True, False),
    # A request that is named, and another form: something between that passes headers on.
    (NAMED, {"error": FORM["error"]}, True, False),
    (NAMED, {**FORM, "type": "failure"}, True, False),
    (NAMED, {**FORM, "type": None}, True, False),
    (NAMED, {**FORM, "error": {"message": "no"}}, True, False),
    (NAMED, {**FORM, "error": {"type": None}}, True, False),
    (NAMED, {**FORM, "error": {"type": 5}}, True, False),
    (NAMED, {**FORM, "error": "no"}, False, False),
    (NAMED, {"message": "no"}, False, False),
    (NAMED, [FORM], False, False),
    (NAMED, "no", False, False),
    (NAMED, None, False, False),
    (NAMED, b"<html>403</html>", False, False),
    (NAMED, b"", False, False),
    ({}, b"", False, False),
]


@pytest.mark.parametrize(("headers", "body", "has_envelope", "is_from_api"), ANSWERED)
@pytest.mark.parametrize("status", few([400, 403, 413, 429, 500], 0, 4))
def test_the_api_itself_answered_where_its_form_and_a_request_are_named(
    connect: Connect, status: int, headers: dict[str, str], body: Any, *, has_envelope: bool, is_from_api: bool
) -> None:
    _, stamped, said = as_json(body, headers)
    answer: Answer = status, stamped, said
    with answering(always(answer)) as server:
        failure = failure_of(lambda: create(connect(server.url)))
    assert (failure.status, failure.has_envelope, failure.is_from_api) == (status, has_envelope, is_from_api)
    assert is_proven(failure) is is_from_api


def test_where_nobody_answered_the_api_did_not(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    failure = failure_of(lambda: create(connect(f"http://127.0.0.1:{port}")))
    assert (failure.is_from_api, failure.sent_whole, is_proven(failure)) == (False, False, True)


# ---------------------------------------------------------------- a count of tokens


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"input_tokens": None},
        {"input_tokens": 0},
        {"input_tokens": -1},
        {"input_tokens": True},
        {"input_tokens": 10**12},
    ],
)
def test_what_is_no_number_of_tokens_is_a_failure(connect: Connect, said: dict[str, Any]) -> None:
    with answering(always(as_json(said))) as server, pytest.raises(ApiFailure, match="holds no token count"):
        connect(server.url).count_tokens(b"{}")
