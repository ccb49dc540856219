"""Requests and results, made: the same bytes for the same order, each once, kept in a folder.

python -m benchmarks.inputs FOLDER small 100000 [--unordered] [--id-last] [--results]
"""

import argparse
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PER_BATCH = 10_000
ERRORED_SHARE, EXPIRED_SHARE = 0.030, 0.005
WRITE_BYTES = 1 << 20
MODEL = "claude-haiku-4-5"
# Multiplying by one of them, modulo the other, gives every number once and none near its neighbour.
_STRIDE, _PRIME = 618_033_983, 999_999_937

_LABELS = ("billing", "bug report", "feature request", "account access", "shipping", "refund", "praise", "other")
_SYSTEM = (
    "You sort the mail of a small shop. Answer with the one label that fits best, in lower-case letters, "
    f"and with nothing else. The labels are: {', '.join(_LABELS)}."
)
_WORDS = (
    "parcel invoice address window order refund courier monday evening blue lamp broken glass twice nobody answered "
    "please card number changed street still waiting since week thank you friendly voice phone password reset letter "
    "never arrived screen frozen after update price wrong basket empty coupon expired small large return label printed"
)
# What makes bytes and characters differ, and what JSON writes with a backslash.
_SPICE = (
    "café",
    "Zürich",
    "東京",
    "Москва",
    "\N{GRINNING FACE}",
    '"as new"',
    "a\\b",
    "tab\there",
    "line\nbreak",
    "€49.90",
)
_FAILURES = (
    ("invalid_request_error", "max_tokens: must be greater than or equal to 1"),
    ("api_error", "Internal server error"),
    ("overloaded_error", "Overloaded"),
)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How lines look. `kind`: small (530 bytes), document (6 KB) or ids (a line that is little more than its id)."""

    kind: str = "small"
    unordered: bool = False
    id_last: bool = False

    @property
    def name(self) -> str:
        odd = [word.replace("_", "-") for word in ("unordered", "id_last") if getattr(self, word)]
        return "-".join((self.kind, *odd))

    def custom_id(self, number: int) -> str:
        said = number * _STRIDE % _PRIME if self.unordered else number
        return f"{self.kind}-{said:09d}"


# ---------------------------------------------------------------- requests


def request_lines(shape: Shape, count: int) -> Iterator[str]:
    """Line by line, with its end. The first lines are the same whatever the count."""
    params = _params(shape)
    for number in range(count):
        named = f'"custom_id":"{shape.custom_id(number)}"'
        body = f'"params":{params(number)}'
        first, second = (body, named) if shape.id_last else (named, body)
        yield f"{{{first},{second}}}\n"


def _params(shape: Shape) -> Callable[[int], str]:
    """Of the request of a number."""
    dice = random.Random(f"requests {shape.kind}")
    if shape.kind == "ids":
        asked = _object({"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "?"}]})
        return lambda _: asked
    sentences = _sentences(dice, ascii_only=False)
    escaped = _sentences(dice, ascii_only=True)
    length = {"small": 2, "document": 68}[shape.kind]
    # Prompts that quote the very keys that a reader of heads looks for.
    decoy = r"{\"custom_id\": \"decoy\", \"params\": {}} " if shape.id_last else ""
    head, tail = _object(
        {
            "model": MODEL,
            "max_tokens": 16 if shape.kind == "small" else 1024,
            "system": _SYSTEM,
            "messages": [{"role": "user", "content": "\0"}],
        }
    ).split(r"\u0000")

    def params(number: int) -> str:
        bank = escaped if number % 8 == 0 else sentences
        at = dice.randrange(len(bank))
        said = " ".join(bank[(at + each * 13) % len(bank)] for each in range(length))
        return f"{head}{decoy}{said}{tail}"

    return params


def _sentences(dice: random.Random, *, ascii_only: bool) -> list[str]:
    """As they stand inside a JSON string."""
    known, made = _WORDS.split(), []
    for _ in range(2048):
        words = dice.choices(known, k=dice.randint(8, 16))
        if dice.random() < 0.25:
            words[dice.randrange(len(words))] = dice.choice(_SPICE)
        made.append(json.dumps(" ".join(words).capitalize() + ".", ensure_ascii=ascii_only)[1:-1])
    return made


def _object(shape: dict[str, object]) -> str:
    return json.dumps(shape, separators=(",", ":"), ensure_ascii=False)


# ---------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class ResultFile:
    """What a batch came to: `first` is the id of its first request, `body_bytes` about how long its create was."""

    first: str
    count: int
    body_bytes: int
    counts: dict[str, int] = field(default_factory=dict)
    path: str = ""


def result_lines(shape: Shape, batch: int, count: int) -> tuple[list[str], Counter[str]]:
    """The results of a batch in an order of their own, and how many there are of each outcome."""
    dice = random.Random(f"results {shape.kind} {batch}")
    answers = _sentences(random.Random(f"answers {shape.kind}"), ascii_only=False)
    lines, counts = [], Counter[str](succeeded=0, errored=0, expired=0)
    for position in range(count):
        custom_id = shape.custom_id(batch * PER_BATCH + position)
        # The first of a batch always succeeds, so that no retry begins with the id that a first round begins with.
        drawn = dice.random() if position else 1.0
        outcome = (
            "errored" if drawn < ERRORED_SHARE else "expired" if drawn < ERRORED_SHARE + EXPIRED_SHARE else "succeeded"
        )
        counts[outcome] += 1
        lines.append(f'{{"custom_id":"{custom_id}","result":{_result(outcome, dice, answers)}}}\n')
    dice.shuffle(lines)
    return lines, counts


def _result(outcome: str, dice: random.Random, answers: list[str]) -> str:
    if outcome == "expired":
        return '{"type":"expired"}'
    if outcome == "errored":
        kind, message = dice.choice(_FAILURES)
        nested = f'{{"details":null,"type":"{kind}","message":"{message}"}}'
        return f'{{"type":"errored","error":{{"type":"error","error":{nested},"request_id":null}}}}'
    at = dice.randrange(len(answers))
    text = " ".join(answers[(at + each) % len(answers)] for each in range(1 + at % 5))
    return (
        f'{{"type":"succeeded","message":{{"model":"{MODEL}","id":"msg_01{"".join(dice.choices(_BASE58, k=22))}",'
        f'"type":"message","role":"assistant","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn",'
        f'"stop_sequence":null,"usage":{{"input_tokens":{150 + at % 300},"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},'
        f'"output_tokens":{4 + at % 200},"service_tier":"batch"}}}}}}'
    )


# ---------------------------------------------------------------- kept


class Shelf:
    """The files made so far, under `folder`, apart from those that an older version of this file made."""

    def __init__(self, folder: Path) -> None:
        version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
        self.folder = folder / f"made-{version}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def requests(self, shape: Shape, count: int) -> Path:
        """The file of so many requests, made if it is not there."""
        path = self.folder / f"{shape.name}-{count}.jsonl"
        if not path.exists():
            _write(path, request_lines(shape, count))
        return path

    def results(self, shape: Shape, count: int, source: Path) -> Path:
        """A folder with the results of every batch of `source`, and `batches.json`, which says what each is of."""
        folder = self.folder / f"{shape.name}-{count}.results"
        listing = folder / "batches.json"
        if not listing.exists():
            folder.mkdir(exist_ok=True)
            made = [asdict(each) for each in _result_files(folder, shape, count, source.stat().st_size)]
            _write(listing, [json.dumps(made)])
        return folder


def _result_files(folder: Path, shape: Shape, count: int, input_bytes: int) -> Iterator[ResultFile]:
    for batch, start in enumerate(range(0, count, PER_BATCH)):
        size = min(PER_BATCH, count - start)
        path = folder / f"{batch:05d}.jsonl"
        lines, counts = result_lines(shape, batch, size)
        _write(path, lines)
        yield ResultFile(shape.custom_id(start), size, input_bytes * size // count, dict(counts), path.name)


def _write(path: Path, lines: Iterator[str] | list[str]) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="", buffering=WRITE_BYTES) as file:
        file.writelines(lines)
    part.rename(path)


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("folder", type=Path)
    wanted.add_argument("kind", choices=("small", "document", "ids"))
    wanted.add_argument("count", type=int)
    for option in ("unordered", "id-last", "results"):
        wanted.add_argument(f"--{option}", action="store_true")
    given = vars(wanted.parse_args())
    folder, count, results = given.pop("folder"), given.pop("count"), given.pop("results")
    shape, shelf = Shape(**given), Shelf(folder)
    path = shelf.requests(shape, count)
    print(path)
    if results:
        print(shelf.results(shape, count, path))


if __name__ == "__main__":
    main()
