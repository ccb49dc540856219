"""`python -m batchctl.emulator`: the emulator without the rest of the program."""

import argparse
import sys
from pathlib import Path

from batchctl.emulator import serve


def main() -> int:
    """Serve until a signal stops it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m batchctl.emulator", description="A stand-in for the API.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds per real second")
    parser.add_argument("--scenario", type=Path, help="TOML file: durations, outcomes, limits, faults")
    parser.add_argument("--seed", type=int, help="decides outcomes, answers and the order of results")
    parser.add_argument("--data-dir", type=Path, help="where bodies are kept; default: a temporary folder")
    given = parser.parse_args()
    return serve(given.port, speed=given.speed, scenario=given.scenario, seed=given.seed, data_dir=given.data_dir)


if __name__ == "__main__":
    sys.exit(main())
