"""The models of an account, kept in the workspace for a day: one JSON object."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import orjson

from batchctl.domain.errors import BatchctlError
from batchctl.domain.model_catalog import Catalog, Model
from batchctl.store.protocol import Store

NAME = "models.json"
FORMAT = 1


def read_catalog(store: Store) -> Catalog | None:
    """Return the stored catalog, or None where there is none that this program can read: then the API is asked again."""
    try:
        stored = orjson.loads(store.read(NAME))
        if stored["format"] != FORMAT:
            return None
        return Catalog(
            api=str(stored["api"]),
            asked_at=_instant(stored["asked_at"]),
            models={str(name): _model(fields) for name, fields in stored["models"].items()},
            unknown=frozenset(map(str, stored["unknown"])),
        )
    except (BatchctlError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_catalog(store: Store, catalog: Catalog) -> None:
    """Replace the stored catalog. Raises DiskProblem."""
    stored = {
        "format": FORMAT,
        "api": catalog.api,
        "asked_at": catalog.asked_at,
        "models": {name: asdict(model) for name, model in catalog.models.items()},
        "unknown": sorted(catalog.unknown),
    }
    store.put(NAME, orjson.dumps(stored, option=orjson.OPT_APPEND_NEWLINE))


def _model(fields: dict[str, Any]) -> Model:
    for name in ("max_input_tokens", "max_tokens"):
        if type(fields[name]) not in {int, type(None)}:
            raise ValueError(name)
    model = Model(**fields)
    return replace(model, retires_at=_instant(fields["retires_at"]) if fields["retires_at"] else None)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    return instant
