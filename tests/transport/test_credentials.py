"""Where the credential comes from, as the SDK says it; the credential itself is never told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchctl.domain.errors import AccountProblem
from batchctl.transport.client import Transport
from batchctl.transport.credentials import Credential

FEDERATION = {"ANTHROPIC_FEDERATION_RULE_ID": "rule", "ANTHROPIC_ORGANIZATION_ID": "org"}


@contextmanager
def opened() -> Iterator[Transport]:
    transport = Transport()
    try:
        yield transport
    finally:
        transport.close()


def credential(environment: pytest.MonkeyPatch, **variables: str) -> Credential:
    # A folder that was named and holds no profile is a problem of its own.
    environment.delenv("ANTHROPIC_CONFIG_DIR")
    for name, value in variables.items():
        environment.setenv(name, value)
    with opened() as transport:
        return transport.credential()


def profile(folder: Path, name: str) -> None:
    config = {"authentication": {"type": "user_oauth"}, "base_url": "https://of-the-profile.example"}
    stored = {"access_token": "secret", "expires_at": 9_999_999_999}
    for kind, shape in (("configs", config), ("credentials", stored)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        path = folder / kind / f"{name}.json"
        path.write_text(json.dumps(shape))
        path.chmod(0o600)


@pytest.mark.parametrize(
    ("variables", "source", "unused"),
    [
        ({}, "", ()),
        ({"ANTHROPIC_API_KEY": ""}, "", ()),
        ({"ANTHROPIC_API_KEY": "secret"}, "ANTHROPIC_API_KEY", ()),
        ({"ANTHROPIC_AUTH_TOKEN": "secret"}, "ANTHROPIC_AUTH_TOKEN", ()),
        (
            {"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_AUTH_TOKEN": "secret", "ANTHROPIC_PROFILE": "work"},
            "ANTHROPIC_API_KEY",
            ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"),
        ),
        (
            {"ANTHROPIC_IDENTITY_TOKEN": "secret", **FEDERATION},
            "workload identity from ANTHROPIC_IDENTITY_TOKEN",
            (),
        ),
        (
            {"ANTHROPIC_IDENTITY_TOKEN_FILE": "/run/secret", **FEDERATION},
            "workload identity from ANTHROPIC_IDENTITY_TOKEN_FILE",
            (),
        ),
        ({"ANTHROPIC_IDENTITY_TOKEN": "secret"}, "", ("ANTHROPIC_IDENTITY_TOKEN",)),
        (
            {"ANTHROPIC_CUSTOM_HEADERS": "X-Api-Key: secret\nX-Mine: secret"},
            "ANTHROPIC_CUSTOM_HEADERS (X-Api-Key)",
            (),
        ),
    ],
)
def test_the_first_place_of_the_sdks_chain_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], source: str, unused: tuple[str, ...]
) -> None:
    found = credential(monkeypatch, **variables)
    assert (found.source, found.unused) == (source, unused)
    assert "secret" not in repr(found).replace("/run/secret", "")


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({}, "profile 'default' (the active one)"),
        ({"ANTHROPIC_PROFILE": "work"}, "profile 'work' (ANTHROPIC_PROFILE)"),
    ],
)
def test_a_profile_is_named_with_its_base_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], source: str
) -> None:
    profile(tmp_path, "default")
    profile(tmp_path, "work")
    found = credential(monkeypatch, ANTHROPIC_CONFIG_DIR=str(tmp_path), **variables)
    assert (found.source, found.base_url.rstrip("/")) == (source, "https://of-the-profile.example")


def test_a_profile_that_cannot_be_read_is_a_problem_of_the_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(AccountProblem, match="cannot be used"):
        credential(monkeypatch, ANTHROPIC_CONFIG_DIR=str(tmp_path), ANTHROPIC_PROFILE="none")


@pytest.mark.parametrize("key", ["secret\n", " secret", "secret\r"])
def test_white_space_at_an_end_is_noticed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert credential(monkeypatch, ANTHROPIC_API_KEY=key).is_blank_at_an_end


def test_headers_are_told_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    found = credential(monkeypatch, ANTHROPIC_API_KEY="k", ANTHROPIC_CUSTOM_HEADERS="X-Mine: secret")
    assert (found.source, found.headers) == ("ANTHROPIC_API_KEY", ("X-Mine",))
