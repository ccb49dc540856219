"""The models of an account on the disk."""

import json
from pathlib import Path
from typing import Any

import pytest
from builders import NOW

from batchctl.domain.model_catalog import Catalog, Model
from batchctl.store.local import LocalStore
from batchctl.store.models_file import NAME, read_catalog, write_catalog

MODEL = Model(
    id="claude-haiku-4-5-20251001",
    lifecycle="deprecated",
    retires_at=NOW,
    max_input_tokens=200_000,
    max_tokens=64_000,
    is_in_batches=True,
)
CATALOG = Catalog(
    api="https://a org_1 ws_1",
    asked_at=NOW,
    models={MODEL.id: MODEL, "claude-haiku-4-5": MODEL, "new": Model(id="new")},
    unknown=frozenset({"claude-no"}),
)


def test_what_was_written_is_read_and_is_private(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write_catalog(store, CATALOG)
    assert read_catalog(store) == CATALOG
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def _changed(**changes: Any) -> Any:
    return lambda stored: json.dumps({**stored, **changes}).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"{",
        lambda _: b"[1]",
        lambda _: b"\xff",
        lambda stored: json.dumps({key: stored[key] for key in stored if key != "models"}).encode(),
        _changed(format=2),
        _changed(asked_at="yesterday"),
        _changed(asked_at="2026-11-21T12:00:00"),
        _changed(asked_at=5),
        _changed(models=[1]),
        _changed(models={"a": "b"}),
        _changed(models={"a": {"id": "a"}}),
        _changed(models={"a": {"id": "a", "max_tokens": "many", "max_input_tokens": 1, "retires_at": None}}),
        _changed(models={"a": {"id": "a", "max_tokens": 1, "max_input_tokens": 1, "retires_at": None, "more": 1}}),
        _changed(unknown=5),
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, spoil: Any) -> None:
    store = LocalStore(tmp_path)
    write_catalog(store, CATALOG)
    (tmp_path / NAME).write_bytes(spoil(json.loads(store.read(NAME))))
    assert read_catalog(store) is None
    assert read_catalog(LocalStore(tmp_path / "nowhere")) is None
    (tmp_path / "folder" / NAME).mkdir(parents=True)
    assert read_catalog(LocalStore(tmp_path / "folder")) is None
