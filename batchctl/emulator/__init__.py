"""The API, pretended: a real HTTP server that answers as the Message Batches API does; it never shares code with the program."""

from pathlib import Path


def serve(
    port: int = 0,
    *,
    speed: float = 1.0,
    scenario: Path | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
) -> int:
    """Serves on 127.0.0.1 until SIGINT or SIGTERM and returns an exit status: 0, or 2 for a wrong scenario or port.

    Prints the base URL as one line on stdout once it accepts connections. `port` 0 is a free one; `speed` is virtual
    seconds per real second; `data_dir` keeps the bodies, else they go to a temporary folder that is removed.
    """
    # What serves takes a while to import, and the command line imports this room for its help.
    from batchctl.emulator.serving import run  # noqa: PLC0415

    return run(port, speed, scenario, seed or 0, data_dir)
