"""`emulator`: the one place that starts the other end."""

from pathlib import Path
from typing import Annotated

import typer


def emulator(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port to listen on; default: a free one")
    ] = 0,
    speed: Annotated[
        float, typer.Option("--speed", metavar="FACTOR", help="Seconds of its clock per real second")
    ] = 1.0,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", metavar="FILE", help="Outcomes, limits and faults (TOML)")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the random outcomes")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Folder for what it receives")
    ] = None,
) -> None:
    """Serve an emulator of the Message Batches API on this machine, and print its address. It takes any key.

    Examples:
        batchctl emulator
        batchctl emulator --port 8080 --speed 60
        batchctl emulator --scenario scenario.toml --seed 7
    """
    from batchctl.emulator import serve

    raise typer.Exit(serve(port, speed=speed, scenario=scenario, seed=seed, data_dir=data_dir))
