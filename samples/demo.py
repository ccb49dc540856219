"""`make demo`: the whole life of a job against an emulator on this machine. No key, no cost, some fifteen seconds.

python samples/demo.py [FOLDER]: the job is run in FOLDER, which must be new or empty; else in .demo, made anew each time.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

SAMPLES = Path(__file__).resolve().parent
PLAYGROUND = SAMPLES.parent / ".demo"
SAMPLE = SAMPLES / "banking77.jsonl"
BATCHCTL = (sys.executable, "-m", "batchctl")

SHOWN_ANSWERS = 4
PATIENCE_SECONDS = 5.0
INTERRUPTED = 130

# Each command, and the exit status it must end with. {sample} is the input, as seen from the folder.
STORY: tuple[tuple[str, int], ...] = (
    ("batchctl submit {sample} --max-requests 100 --max-cost 1", 0),
    ("batchctl status --watch --poll 1s", 0),
    ("batchctl fetch", 3),
    ("batchctl retry", 0),
    ("batchctl status --watch --poll 1s", 0),
    ("batchctl fetch", 0),
    ("batchctl verify", 0),
    ("batchctl cost", 0),
)


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]).resolve() if arguments else _anew(PLAYGROUND)
    if arguments and folder.exists() and any(folder.iterdir()):
        return _complain(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        with _emulator() as address:
            return _play(folder, _surroundings(address))
    except KeyboardInterrupt:
        return INTERRUPTED


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


# ---------------------------------------------------------------- the story


def _play(folder: Path, env: dict[str, str]) -> int:
    _say(f"# an emulator of the API listens on {env['ANTHROPIC_BASE_URL']}; no key is needed\n")
    sample = os.path.relpath(SAMPLE, folder)
    for command, expected in STORY:
        typed = command.format(sample=sample)
        _say(f"$ {typed}")
        status = _run(typed.split()[1:], folder, env)
        if status != expected:
            return _complain(f"{typed}: exit status {status}, expected {expected}")
        _say(f"# exit status {status}: some requests without success\n" if status else "")
    return _show_answers(folder)


def _show_answers(folder: Path) -> int:
    (results,) = folder.glob("*.results.jsonl")
    answers = [json.loads(line) for line in results.read_text("utf-8").split("\n") if line]
    asked = [json.loads(line)["custom_id"] for line in SAMPLE.read_text("utf-8").split("\n") if line]
    if [answer["custom_id"] for answer in answers] != asked:
        return _complain(f"{results} does not hold one answer for each request, in order")
    _say(f"# {len(answers)} answers to {len(asked)} requests, in the order of the input:")
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    for answer in answers[:SHOWN_ANSWERS]:
        _say(textwrap.shorten(f"{answer['custom_id']} → {_text(answer)}", width, placeholder=" …"))
    _say(f"\n# the files lie in {folder}")
    return 0


def _text(answer: dict[str, dict[str, dict[str, list[dict[str, str]]]]]) -> str:
    return answer["result"]["message"]["content"][0]["text"]


# ---------------------------------------------------------------- what is started, and stopped again


@contextlib.contextmanager
def _emulator() -> Iterator[str]:
    """Its address. It stands in a session of its own, so that Ctrl-C reaches it last, and from here."""
    scenario = SAMPLES / "scenarios" / "demo.toml"
    emulator: subprocess.Popen[str] | None = None
    try:
        with _undisturbed():
            emulator = subprocess.Popen(  # noqa: S603 - our own program
                [*BATCHCTL, "emulator", "--scenario", str(scenario)],
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env=_own_settings(),
            )
        assert emulator.stdout is not None
        address = emulator.stdout.readline().strip()
        if not address.startswith("http://127.0.0.1:"):
            sys.exit(_complain(f"the emulator did not start: {address}"))
        yield address
    finally:
        if emulator is not None:
            _stop(emulator)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal that comes while a process is being started waits until we know the process: else nobody could stop it."""
    came: list[int] = []
    stopping = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def _run(arguments: list[str], folder: Path, env: dict[str, str]) -> int:
    command: subprocess.Popen[bytes] | None = None
    try:
        with _undisturbed():
            command = subprocess.Popen([*BATCHCTL, *arguments], cwd=folder, env=env)  # noqa: S603 - our own program
        return command.wait()
    except KeyboardInterrupt:
        if command is None:
            raise
        # Ctrl-C at a terminal has reached it as well: it ends by itself, and says so.
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(1.0)
        _stop(command)
        raise


def _stop(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Asks it to end, then makes it; from here on nothing interrupts any more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _surroundings(address: str) -> dict[str, str]:
    return _own_settings() | {"ANTHROPIC_BASE_URL": address, "ANTHROPIC_API_KEY": "sk-ant-demo-no-key"}


def _own_settings() -> dict[str, str]:
    """The environment without anybody's key, address or workspace."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHCTL_"))}


def _anew(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


# ---------------------------------------------------------------- what is said


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(text: str) -> int:
    print(f"demo: {text}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
