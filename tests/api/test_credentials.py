"""Where the credential comes from, as the SDK says it; the credential itself is never told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Credential
from batchctl.domain.errors import AccountProblem

FEDERATION = {"ANTHROPIC_FEDERATION_RULE_ID": "rule", "ANTHROPIC_ORGANIZATION_ID": "org"}


@contextmanager
def opened() -> Iterator[SdkMessageBatches]:
    message_batches = SdkMessageBatches()
    try:
        yield message_batches
    finally:
        message_batches.close()


def credential(environment: pytest.MonkeyPatch, **variables: str) -> Credential:
    # A folder that was named and holds no profile is a problem of its own.
    environment.delenv("ANTHROPIC_CONFIG_DIR")
    for name, value in variables.items():
        environment.setenv(name, value)
    with opened() as message_batches:
        return message_batches.credential()


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


# ---------------------------------------------------------------- a fingerprint of it

KEY, OTHER = "sk-ant-api03-0123456789abcdef", "sk-ant-api03-0123456789abcdeF"


def fingerprint(environment: pytest.MonkeyPatch, salt: str = "salt", **variables: str) -> str:
    """Of what these variables name, and no others."""
    with environment.context() as only:
        only.delenv("ANTHROPIC_CONFIG_DIR")
        for name, value in variables.items():
            only.setenv(name, value)
        with opened() as message_batches:
            return message_batches.fingerprint(salt)


STATIC = [
    {"ANTHROPIC_API_KEY": "{}"},
    {"ANTHROPIC_AUTH_TOKEN": "{}"},
    {"ANTHROPIC_CUSTOM_HEADERS": "X-Api-Key: {}\nX-Mine: 1"},
    {"ANTHROPIC_CUSTOM_HEADERS": "x-api-key: {}"},
    {"ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer {}"},
    # The user's own header is what the API is sent.
    {"ANTHROPIC_API_KEY": "hidden", "ANTHROPIC_CUSTOM_HEADERS": "X-API-KEY: {}"},
    # A gateway's key stands beside the API's, under a name of its own.
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_CUSTOM_HEADERS": "X-Gateway-Key: {}"},
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer {}"},
    {"ANTHROPIC_API_KEY": "{}", "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer the same"},
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_CUSTOM_HEADERS": "cf-aig-authorization: {}\nX-Mine: 1"},
    {"ANTHROPIC_CUSTOM_HEADERS": "Helicone-Auth: {}"},
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_BASE_URL": "https://me:{}@gateway.example"},
    # What no ledger holds of a URL.
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_BASE_URL": "https://gateway.example/{}/v1"},
    {"ANTHROPIC_API_KEY": "the same", "ANTHROPIC_BASE_URL": "https://gateway.example/?key={}"},
]


@pytest.mark.parametrize("variables", STATIC)
def test_a_fingerprint_tells_keys_apart_and_gives_none_away(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    def of(key: str, salt: str = "salt") -> str:
        return fingerprint(monkeypatch, salt, **{name: value.format(key) for name, value in variables.items()})

    found = of(KEY)
    assert found == of(KEY)
    assert len({found, of(OTHER), of(KEY, "another salt"), of(KEY, "")}) == 4
    assert len(found) == 12
    assert set(found) <= set("0123456789abcdef")
    assert not any(KEY[at : at + 6] in found for at in range(len(KEY) - 5))


def test_one_key_has_one_fingerprint_however_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        {"ANTHROPIC_API_KEY": KEY},
        {"ANTHROPIC_AUTH_TOKEN": KEY},
        {"ANTHROPIC_CUSTOM_HEADERS": f"x-api-key: {KEY}"},
    ]
    assert len({fingerprint(monkeypatch, **variables) for variables in given}) == 1


@pytest.mark.parametrize("key", ["short", "x" * 10_000, "with white space ", "é"])
def test_any_text_has_a_fingerprint(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert len(fingerprint(monkeypatch, ANTHROPIC_API_KEY=key)) == 12


@pytest.mark.parametrize(
    "header", ["anthropic-beta: b-1", "User-Agent: mine", "traceparent: 00-1", "X-Request-ID: 7", "X-Empty:"]
)
def test_what_tells_no_account_from_another_is_in_no_fingerprint(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    with_it = fingerprint(monkeypatch, ANTHROPIC_API_KEY=KEY, ANTHROPIC_CUSTOM_HEADERS=header)
    assert with_it == fingerprint(monkeypatch, ANTHROPIC_API_KEY=KEY)


def test_what_changes_by_itself_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fingerprint(monkeypatch) == ""
    assert fingerprint(monkeypatch, ANTHROPIC_API_KEY="") == ""
    assert fingerprint(monkeypatch, ANTHROPIC_IDENTITY_TOKEN="secret", **FEDERATION) == ""
    profile(tmp_path, "work")
    folder = str(tmp_path)
    assert fingerprint(monkeypatch, ANTHROPIC_CONFIG_DIR=folder, ANTHROPIC_PROFILE="work") == ""
