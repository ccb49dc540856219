import importlib
import re
from pathlib import Path

import pytest
from docs.links import pages

from batchctl.domain.model import FailureClass, Outcome, ProcessingStatus, State
from batchctl.domain.states import MAY_FOLLOW

PROJECT = Path(__file__).parents[2]
DOCUMENTS = pages()
ARCHITECTURE = (PROJECT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
ROOMS = "cli|render|verbs|engine|requests|results|money|notify|api|ledger|store|domain|emulator"


def _exists(dotted: str) -> bool:
    """Whether `room.module.name` is something one can import and reach."""
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(("batchctl", *words[:length])))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            found = getattr(found, word, None)
        return found is not None
    return False


def test_every_name_in_the_architecture_exists() -> None:
    names = set(re.findall(rf"`((?:{ROOMS})(?:\.\w+)+)`", ARCHITECTURE))
    assert len(names) > 40
    assert [name for name in sorted(names) if not _exists(name)] == []


def test_a_name_that_does_not_exist_is_noticed() -> None:
    assert not _exists("domain.states.MAY_NEVER_FOLLOW")
    assert not _exists("domain.stages")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_path_that_is_named_exists(path: Path) -> None:
    named = set(
        re.findall(
            r"(?<!\.)(?:batchctl|tests|samples|docs|render|verbs|engine|requests|results|money|api|store|domain|cli)/[\w/.]+\.\w+",
            path.read_text("utf-8"),
        )
    )
    written = {name for name in named if not {"NAME", "000N_"} & set(re.findall("NAME|000N_", name))}
    assert [name for name in sorted(written) if not _is_there(name)] == []


def _is_there(name: str) -> bool:
    return (PROJECT / name).exists() or (PROJECT / "batchctl" / name).exists()


def test_the_table_of_states_is_the_one_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ?((?:`\w+` ?)*)\|$", ARCHITECTURE, re.MULTILINE)
    told = {State(before): {State(after) for after in re.findall(r"\w+", afters)} for before, afters in rows}
    assert told == MAY_FOLLOW


@pytest.mark.parametrize(
    ("word", "enum"),
    [
        ("state", State),
        ("processing status", ProcessingStatus),
        ("outcome", Outcome),
        ("failure class", FailureClass),
    ],
)
def test_the_glossary_names_every_value(word: str, enum: type[State]) -> None:
    row = next(line for line in ARCHITECTURE.splitlines() if line.startswith(f"| **{word}** |"))
    assert [value for value in enum if f"`{value}`" not in row] == []
