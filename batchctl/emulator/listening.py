"""The listening socket and its event loop: from accepting connections to dropping them all at once."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from uvicorn.config import Config
from uvicorn.server import ServerState

from batchctl.emulator.server import application
from batchctl.emulator.state import State
from batchctl.emulator.wire import Wire

LOOPBACK = "127.0.0.1"
# The SDKs keep connections open between polls; closing them under a caller is a race this server need not run.
KEEP_ALIVE = 300
# Turns of the loop from accepting a connection until it is known as one.
TURNS_TO_BE_KNOWN = 4


def bound(port: int) -> socket.socket:
    """A socket on loopback, listening from here on; raises `OSError`."""
    # The protocol is named because asyncio turns Nagle's delay off only where it is: 40 ms per answer else.
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.bind((LOOPBACK, port))
        link.listen(512)
    except BaseException:
        link.close()
        raise
    return link


async def listen(state: State, link: socket.socket, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serves on `link` until `stop` is set; open answers are cut off then, for a test must not wait for them."""
    state.base_url = f"http://{LOOPBACK}:{link.getsockname()[1]}"
    config = Config(
        application(state), http=Wire, ws="none", lifespan="off", loop="asyncio", log_config=None, log_level="critical",
        access_log=False, date_header=False, server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE,
    )  # fmt: skip
    config.load()
    shared = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Wire(config, shared, {}), sock=link)
    ready()
    await stop.wait()
    state.closing = True
    # Not yet closed: a server that is makes no connection of what it has just accepted, and leaves it open.
    loop.remove_reader(link)
    await _drop_all(shared)
    server.close()
    tasks = list(shared.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 0.5)


async def _drop_all(shared: ServerState) -> None:
    """Every connection, and those that were accepted an instant ago: else nobody would close them."""
    quiet = 0
    while quiet < TURNS_TO_BE_KNOWN:
        for connection in list(shared.connections):
            connection.transport.abort()
        quiet = 0 if shared.connections else quiet + 1
        await asyncio.sleep(0)
