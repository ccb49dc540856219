"""`emulator`: the one place that starts the other end."""

from pathlib import Path
from typing import Annotated

import typer


def emulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is a free one.")] = 0,
    speed: Annotated[float, typer.Option(help="Seconds of its clock per second.")] = 1.0,
    scenario: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML: outcomes, limits, faults.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, other outcomes.")] = None,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where it keeps what it receives.")] = None,
) -> None:
    """Serve a stand-in for the API on this machine; prints its address."""
    from batchctl.emulator import serve

    raise typer.Exit(serve(port, speed=speed, scenario=scenario, seed=seed, data_dir=data_dir))
