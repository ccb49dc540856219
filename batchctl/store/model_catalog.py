"""The models of an account, kept for a day: one JSON object, private to the workspace."""

from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.catalog import Catalog, Model
from batchctl.store.local import keep

FORMAT = 1


def read_catalog(path: Path) -> Catalog | None:
    """None where there is none, or none that this program can read: then it is asked for anew."""
    try:
        stored = orjson.loads(path.read_bytes())
        if stored["format"] != FORMAT:
            return None
        return Catalog(
            api=str(stored["api"]),
            asked_at=_instant(stored["asked_at"]),
            models={str(name): _model(said) for name, said in stored["models"].items()},
            unknown=frozenset(map(str, stored["unknown"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_catalog(path: Path, catalog: Catalog) -> None:
    """Raises DiskProblem."""
    stored = {
        "format": FORMAT,
        "api": catalog.api,
        "asked_at": catalog.asked_at,
        "models": {name: asdict(model) for name, model in catalog.models.items()},
        "unknown": sorted(catalog.unknown),
    }
    keep(path, orjson.dumps(stored, option=orjson.OPT_APPEND_NEWLINE))


def _model(said: dict[str, Any]) -> Model:
    for name in ("max_input_tokens", "max_tokens"):
        if type(said[name]) not in {int, type(None)}:
            raise ValueError(name)
    model = Model(**said)
    return replace(model, retires_at=_instant(said["retires_at"]) if said["retires_at"] else None)


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found
