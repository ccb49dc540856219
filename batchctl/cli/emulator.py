"""`batchctl emulator`: the one place that starts the other end."""

from pathlib import Path


def serve(port: int, speed: float, scenario: Path | None, seed: int | None, data_dir: Path | None) -> int:
    from batchctl import emulator  # noqa: PLC0415 - only this command needs a server

    return emulator.serve(port, speed=speed, scenario=scenario, seed=seed, data_dir=data_dir)
