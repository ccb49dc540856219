"""The names that a shell completes, from the files of the workspace alone: no ledger, no network."""

import re
from pathlib import Path

from batchctl.domain.caching import MIN_TOKENS
from batchctl.domain.names import NAME_PATTERN
from batchctl.store.local import LocalStore
from batchctl.store.models_file import read_catalog
from batchctl.store.workspace import find_workspace

# A shell evaluates what it completes: names that a shell could read as more than a word are left out.
_WORD = re.compile(r"[\w.,+@%-]{1,128}", re.ASCII)
_INPUTS = (".jsonl", ".jsonl.gz", ".jsonl.zst")


def job_names(workspace: Path | None) -> list[str]:
    """Return the jobs that have a folder in the workspace, the latest first."""
    folder = find_workspace(workspace, Path.cwd()) / "jobs"
    try:
        folders = [path for path in folder.iterdir() if re.fullmatch(NAME_PATTERN, path.name) and path.is_dir()]
        return [path.name for path in sorted(folders, key=lambda path: (-path.stat().st_mtime, path.name))]
    except OSError:
        return []


def model_names(workspace: Path | None) -> list[str]:
    """Return the models that the API listed last, and those whose rules for caching the program knows."""
    catalog = read_catalog(LocalStore(find_workspace(workspace, Path.cwd())))
    return sorted({*MIN_TOKENS, *filter(_WORD.fullmatch, catalog.models if catalog else ())})


def input_names() -> list[str]:
    """Return the files in this folder that hold requests, by their endings."""
    return sorted(
        path.name for path in Path().glob("*.jsonl*") if _WORD.fullmatch(path.name) and path.name.endswith(_INPUTS)
    )
