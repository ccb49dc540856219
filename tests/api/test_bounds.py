"""Bounds on what comes in: no answer fills the memory, none goes on for ever, and a stop is heard while one is read."""

import itertools
import socket
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cases import few
from loopback import Answer, Streamed, always, answering, as_json
from program import Cli, requests

from batchctl.api.bounds import MAX_BYTES
from batchctl.api.client import SdkMessageBatches
from batchctl.api.fetching import fetch
from batchctl.api.protocol import Body
from batchctl.domain.api_failures import AfterCreate, AfterRead, after_create, after_read, is_proven
from batchctl.domain.errors import ApiFailure, ServiceProblem, Stopped
from batchctl.emulator.running import Running

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

MEGABYTE = b" " * (1 << 20)
# What is taken, as a list of pieces and then in one, and what the two ends need besides.
MAX_MEMORY = 4 * MAX_BYTES
Connect = Callable[..., SdkMessageBatches]


def spaces() -> Iterator[bytes]:
    return itertools.repeat(MEGABYTE)


def packed(bits: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, bits)
    yield from filter(None, map(packer.compress, pieces))


def zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = ZstdCompressor()
    yield from filter(None, map(packer.compress, pieces))


def nothing() -> Iterator[bytes]:
    """Of gzip: blocks that hold nothing, without end."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    yield packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    yield from itertools.repeat(b"\0\0\0\xff\xff" * 100_000)


def junk() -> Iterator[bytes]:
    """An end of gzip, and more behind it."""
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    yield packer.compress(b"{}") + packer.flush()
    yield from spaces()


GZIP, DEFLATE = 31, 15
ENDLESS: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "plain": ("", spaces),
    "gzip": ("gzip", lambda: packed(GZIP, spaces())),
    "deflate": ("deflate", lambda: packed(DEFLATE, spaces())),
    "zstd": ("zstd", lambda: zstd(spaces())),
    "gzip twice": ("gzip, gzip", lambda: packed(GZIP, packed(GZIP, spaces()))),
    "gzip of nothing": ("gzip", nothing),
    "gzip and junk": ("gzip", junk),
}

# Behind its end, the unpacker keeps what comes by copying all of it each time.
KINDS = few(ENDLESS, 0, 1, 3, 4)


def endless(name: str, status: int = 200) -> Streamed:
    encoding, pieces = ENDLESS[name]
    return status, {"content-type": "application/json", **({"content-encoding": encoding} if encoding else {})}, pieces


def create(message_batches: SdkMessageBatches) -> object:
    return message_batches.create(Body([b"{}"], 2))


def results(message_batches: SdkMessageBatches) -> int:
    with message_batches.results("msgbatch_1") as pieces:
        return sum(map(len, pieces))


READS: dict[str, Callable[[SdkMessageBatches], object]] = {
    "retrieve": lambda message_batches: message_batches.retrieve("msgbatch_1"),
    "page": lambda message_batches: message_batches.page(),
    "models": lambda message_batches: message_batches.models(),
    "cancel": lambda message_batches: message_batches.cancel("msgbatch_1"),
    "count_tokens": lambda message_batches: message_batches.count_tokens(b"{}"),
}
CALLS = {**READS, "create": create, "results": results}


@pytest.fixture(autouse=True, scope="module")
def imported() -> None:
    """What is imported with the first request is nobody's answer, and slow to trace."""
    with pytest.MonkeyPatch.context() as key, answering(always(as_json({"input_tokens": 1}))) as server:
        key.setenv("ANTHROPIC_API_KEY", "sk-ant-tests")
        with closing(SdkMessageBatches(server.url)) as message_batches:
            message_batches.count_tokens(b"{}")


@contextmanager
def in_bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY
    finally:
        tracemalloc.stop()


def failure_of(call: Callable[[SdkMessageBatches], object], message_batches: SdkMessageBatches) -> ApiFailure:
    with pytest.raises(ApiFailure) as raised:
        call(message_batches)
    return raised.value


# ---------------------------------------------------------------- how much


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_end_says_nothing_and_fills_no_memory(connect: Connect, kind: str) -> None:
    with answering(always(endless(kind))) as server, in_bounded_memory():
        failure = failure_of(READS["page"], connect(server.url))
    assert (failure.status, after_read(failure)) == (200, AfterRead.AGAIN)
    assert "the answer cannot be read: " in failure.message


@pytest.mark.parametrize("what", few(READS, 1, 4))
def test_so_it_is_with_every_call(connect: Connect, what: str) -> None:
    with answering(always(endless("gzip"))) as server:
        failure = failure_of(READS[what], connect(server.url))
    assert (failure.status, failure.message) == (200, "the answer cannot be read: more than 16 MiB")


@pytest.mark.parametrize("kind", KINDS)
def test_a_create_that_is_answered_without_end_was_accepted(connect: Connect, kind: str) -> None:
    with answering(always(endless(kind))) as server, in_bounded_memory():
        failure = failure_of(create, connect(server.url))
        assert len(server.asked) == 1
    assert (failure.status, after_create(failure)) == (200, AfterCreate.ACCEPTED)


@pytest.mark.parametrize("status", few([400, 401, 403, 404, 413, 429, 500, 529], 3))
@pytest.mark.parametrize("what", ["create", "retrieve", "results"])
def test_a_refusal_without_end_proves_nothing(connect: Connect, what: str, status: int) -> None:
    with answering(always(endless("gzip", status))) as server, in_bounded_memory():
        failure = failure_of(CALLS[what], connect(server.url))
    assert (failure.status, failure.has_envelope, failure.is_from_api) == (status, False, False)
    # A create is looked for before anything else is done, and what was asked for is not gone.
    assert not is_proven(failure)
    assert after_create(failure) is not AfterCreate.ACCEPTED
    assert after_read(failure) is not AfterRead.GONE


def test_what_is_large_and_can_be_read_is_read(connect: Connect) -> None:
    shape = {"data": [], "has_more": False, "more": "x" * (MAX_BYTES - 100)}
    with answering(always(as_json(shape))) as server:
        assert connect(server.url).page().is_whole


@pytest.mark.parametrize("kind", few(list(ENDLESS)[-3:], 1))
def test_results_that_unpack_to_nothing_without_end_are_broken_results(connect: Connect, kind: str) -> None:
    with answering(always(endless(kind))) as server, in_bounded_memory():
        assert after_read(failure_of(results, connect(server.url))) is AfterRead.AGAIN


@pytest.mark.slow
def test_results_may_be_larger_than_any_other_answer(connect: Connect) -> None:
    with answering(always((200, {}, lambda: itertools.repeat(MEGABYTE, 40)))) as server, in_bounded_memory():
        assert results(connect(server.url)) == 40 << 20


# ---------------------------------------------------------------- how long


def trickle() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.05)  # noqa: TID251 - the far end is slow


def silence() -> Iterator[bytes]:
    yield b"{"
    time.sleep(3)  # noqa: TID251 - as above


@contextmanager
def slow_head() -> Iterator[str]:
    """A server whose head comes byte by byte; its URL."""
    over = threading.Event()

    def serve() -> None:
        link, _ = server.accept()
        with link:
            try:
                for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nx: ", itertools.repeat(120)):
                    link.sendall(bytes([byte]))
                    if over.wait(0.05):
                        break
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join(timeout=10)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-tests")
    monkeypatch.setattr("batchctl.api.client.UPLOAD_TIMEOUT_SECONDS", 0.3)
    return lambda url, **how: closing(SdkMessageBatches(url, longest=0.3, **how))


@pytest.mark.parametrize(
    ("what", "status"),
    few(
        [(what, status) for what in CALLS for status in (200, 400, 500) if (what, status) != ("results", 200)], 0, 4, 8
    ),
)
def test_an_answer_that_comes_byte_by_byte_ends_in_its_time(
    impatient: Callable[..., Any], what: str, status: int
) -> None:
    began = time.monotonic()
    with answering(always((status, {}, trickle))) as server, impatient(server.url) as message_batches:
        failure = failure_of(CALLS[what], message_batches)
    assert time.monotonic() - began < 2
    assert "the whole answer took more than 0.3 s" in failure.message
    assert after_read(failure) is AfterRead.AGAIN
    if what == "create":
        assert after_create(failure) is (AfterCreate.ACCEPTED if status == 200 else AfterCreate.UNCONFIRMED)


@pytest.mark.slow
@pytest.mark.parametrize("what", few(CALLS, 0, 4))
def test_so_does_its_head(impatient: Callable[..., Any], what: str) -> None:
    with slow_head() as url, impatient(url) as message_batches:
        failure = failure_of(CALLS[what], message_batches)
    assert (failure.status, after_read(failure)) == (None, AfterRead.AGAIN)
    assert failure.sent_whole is (what == "create")


def test_results_take_as_long_as_they_come(impatient: Callable[..., Any]) -> None:
    with (
        answering(always((200, {}, lambda: itertools.islice(trickle(), 12)))) as server,
        impatient(server.url) as message_batches,
    ):
        assert results(message_batches) == 12


# ---------------------------------------------------------------- until when


@pytest.mark.parametrize("pieces", few([trickle, silence, ENDLESS["gzip"][1], ENDLESS["zstd"][1]], 1, 2))
@pytest.mark.parametrize("what", few(["results", "page"], 0))
def test_a_stop_is_heard_while_an_answer_is_read(
    monkeypatch: pytest.MonkeyPatch, what: str, pieces: Callable[[], Iterator[bytes]]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-tests")
    monkeypatch.setattr("batchctl.api.bounds.MAX_BYTES", 1 << 40)
    encoding = next((said for said, each in ENDLESS.values() if each is pieces), "")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with (
        answering(always((200, {"content-encoding": encoding}, pieces))) as server,
        closing(SdkMessageBatches(server.url, is_stopped=stop.is_set)) as message_batches,
        pytest.raises(Stopped),
    ):
        CALLS[what](message_batches)
    assert time.monotonic() - began < 2


def test_no_stop_ends_a_create_whose_answer_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-tests")
    made = b'{"id": "msgbatch_1"}'
    with (
        answering(
            always((200, {"content-length": str(len(made) + 5)}, lambda: [*itertools.islice(trickle(), 5), made]))
        ) as server,
        closing(SdkMessageBatches(server.url, is_stopped=lambda: True)) as message_batches,
    ):
        assert message_batches.create(Body([b"{}"], 2)).batch.id == "msgbatch_1"


def far_end(name: str, pieces: Callable[[], Iterator[bytes]]) -> Callable[[str, str], Answer | Streamed]:
    """One that knows this batch, which has ended; its results, or with `name` empty all that it says, come in these pieces."""
    counts = {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 0}
    shape = {"id": name, "processing_status": "ended", "request_counts": counts}

    def answer(_method: str, path: str) -> Answer | Streamed:
        if not name or path.endswith("/results"):
            return 200, {"content-encoding": "gzip"}, lambda: packed(GZIP, pieces())
        return as_json(shape if name in path else {"data": [shape], "has_more": False})

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [trickle, spaces, lambda: itertools.repeat(b"\n" * (1 << 20))])
@pytest.mark.parametrize("of", ["results", "all"])
def test_the_time_that_a_person_allows_holds_within_a_read(
    tmp_path: Path, emulator: Running, of: str, pieces: Callable[[], Iterator[bytes]]
) -> None:
    cli = Cli(tmp_path, emulator.base_url)
    cli.submitted("in.jsonl", requests(2))
    (batch,) = emulator.batches()
    with answering(far_end(batch["id"] if of == "results" else "", pieces)) as server:
        cli.variables["ANTHROPIC_BASE_URL"] = server.url
        began = time.monotonic()
        ran = cli.run("fetch", "--timeout", "2s")
        assert ran.status == 8, ran.err
        assert time.monotonic() - began < 6
    cli.variables["ANTHROPIC_BASE_URL"] = emulator.base_url
    assert cli.run("fetch").status == 0


# ---------------------------------------------------------------- a public file


@pytest.mark.parametrize(("kind", "said"), [("gzip", "more than 10 bytes"), ("gzip twice", "more than once")])
def test_a_public_file_without_end_is_refused(kind: str, said: str) -> None:
    with answering(always(endless(kind))) as server, in_bounded_memory(), pytest.raises(ServiceProblem, match=said):
        fetch(f"{server.url}/prices.json", 10)


def test_a_public_file_that_comes_byte_by_byte_ends_in_its_time() -> None:
    with answering(always((200, {}, trickle))) as server, pytest.raises(ServiceProblem, match="whole answer took more"):
        fetch(f"{server.url}/prices.json", 1000, longest=0.3)
