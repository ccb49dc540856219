"""Secrets are found by their values, whatever a text makes of them."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from batchctl.domain.secrets import Scrubber, secrets_of

# Neither of the usual pattern, and one with every kind of character that is escaped somewhere.
SECRETS = ["corp+Key/7f3=aQ==", 'pa"ss\\wörd & <co>%41']


def base64_within(secret: str, before: str, after: str = "") -> str:
    return base64.b64encode(f"{before}{secret}{after}".encode()).decode()


SPELLINGS: list[Callable[[str], str]] = [
    lambda secret: secret,
    str.upper,
    str.lower,
    lambda secret: quote(secret, safe=""),
    quote_plus,
    lambda secret: quote(secret, safe="").lower(),
    lambda secret: quote(quote(secret, safe=""), safe=""),
    lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    lambda secret: json.dumps(secret)[1:-1],
    lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    lambda secret: json.dumps(json.dumps(secret))[3:-3],
    lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    lambda secret: "".join(f"\\u{ord(character):04x}" for character in secret),
    html.escape,
    lambda secret: "".join(f"&#{ord(character)};" for character in secret),
    lambda secret: "".join(f"&#x{ord(character):X};" for character in secret),
    lambda secret: secret.encode().hex(),
    lambda secret: secret.encode().hex().upper(),
    lambda secret: base64_within(secret, ""),
    lambda secret: base64_within(secret, "a", "bc"),
    lambda secret: base64_within(secret, "ann:"),
    lambda secret: base64_within(secret, "xy", "z"),
    lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    lambda secret: quote(base64_within(secret, ""), safe=""),
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelled", SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "the key {} is wrong", 'got {{"x-api-key":"{}"}} & 100 %'])
def test_no_spelling_of_a_secret_is_shown(secret: str, spelled: Callable[[str], str], around: str) -> None:
    said = Scrubber([secret, "another-secret"])(around.format(spelled(secret)))
    assert "..." in said
    for part in (secret[:5], secret[-5:], spelled(secret)[6:16], spelled(secret)[-12:-4]):
        assert part.lower() not in said.lower()
    # Where a secret has spaces, escapes may hide where it begins.
    assert " " in secret or around[:8].partition("{")[0] in said


@pytest.mark.parametrize("length", [8, 12, 16])
@pytest.mark.parametrize("end", ["", "...", "…"])
def test_the_beginning_of_a_secret_at_the_end_of_a_text_that_was_cut_is_not_shown(length: int, end: str) -> None:
    assert Scrubber(SECRETS)(f"no result: {SECRETS[0][:length]}{end}") == "no result: ..."


@pytest.mark.parametrize(
    "text",
    [
        "Overloaded",
        "100 % of 5 & 6: C:\\new\\x41 &amp; %41",
        "messages.0.content: field \\u0041 required",
        "日本語 🎉",
        "",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Scrubber([*SECRETS, "", "short"])(text) == text


def test_a_usual_key_is_never_shown_whoever_has_it() -> None:
    assert Scrubber([])("invalid x-api-key: sk-ant-api03-abc, Bearer xyz.abc") == "invalid x-api-key: ..., Bearer ..."
    assert Scrubber([])("sk%2Dant%2Dapi03%2Dabc is wrong") == "... is wrong"


def test_half_a_character_is_made_one_that_can_be_written() -> None:
    assert Scrubber([])("half \ud83d") == "half ?"


def test_secrets_are_those_of_variables_headers_and_urls() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "the-api-key",
        "ANTHROPIC_AUTH_TOKEN": "the-token",
        "HTTPS_PROXY": "http://ann:the%20proxy-password@proxy:8080",
        "HOME": "/home/ann",
    }
    headers = {
        "X-Gateway": "the-gateway-key",
        "Authorization": "Basic " + base64.b64encode(b"ann:the-password").decode(),
        "Proxy-Authorization": "Bearer the-bearer",
        "anthropic-beta": "output-300k-2026-03-24",
    }
    found = secrets_of(environment, headers, "https://bob:the-url-password@gateway")
    assert found >= {"the-api-key", "the-token", "the proxy-password", "the-gateway-key"}
    assert found >= {"ann:the-password", "the-password", "the-bearer", "the-url-password"}
    assert not found & {"/home/ann", "output-300k-2026-03-24"}


@pytest.mark.parametrize("value", ["Basic !!!", "Basic", "Basic /w==", "http://[::1"])
def test_what_is_odd_is_no_traceback(value: str) -> None:
    assert value.partition(" ")[0] in " ".join(secrets_of({"http_proxy": value}, {"X-Mine": value}, value))
