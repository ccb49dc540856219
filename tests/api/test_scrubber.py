"""Secrets are found by their values, whatever a text makes of them."""

import base64
import html
import json
import quopri
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from batchctl.api.scrubber import MAX_CHARACTERS, Scrubber, bare_url, secrets_of

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


LONG = ["sk-ant-api03-zYxWvUtSrQpOnMlK-9876_hGfEdCbAbCdEfGAA", "wombat-zebra-quagga-99"]
SPREAD: list[Callable[[str], str]] = [
    lambda secret: "\n ".join(secret[at : at + 8] for at in range(0, len(secret), 8)),
    lambda secret: "\r\n\t".join(secret[at : at + 5] for at in range(0, len(secret), 5)),
    lambda secret: "=\n".join(secret[at : at + 7] for at in range(0, len(secret), 7)),
    lambda secret: "\\n".join(secret[at : at + 7] for at in range(0, len(secret), 7)),
    lambda secret: "%0A".join(secret[at : at + 7] for at in range(0, len(secret), 7)),
    lambda secret: quopri.encodestring(("~" * 60 + secret).encode()).decode()[60:],
    lambda secret: base64.encodebytes((secret * 3).encode()).decode(),
    lambda secret: "\n".join(base64_within(secret, "ann:")[at : at + 9] for at in range(0, 120, 9)),
    lambda secret: secret.encode().hex(" "),
    lambda secret: secret.encode().hex(":").upper(),
    lambda secret: secret.encode().hex(" ", 2).replace(" ", "\n", 1),
    " ".join,
    "-".join,
]


@pytest.mark.parametrize("secret", LONG)
@pytest.mark.parametrize("spelled", SPREAD)
def test_a_secret_is_found_however_it_is_folded_or_spaced(secret: str, spelled: Callable[[str], str]) -> None:
    said = Scrubber([secret])(f"the key {spelled(secret)} is wrong")
    bare = "".join(filter(str.isalnum, said))
    assert "..." in said
    for text in (secret, base64_within(secret, ""), base64_within(secret, "ann:"), secret.encode().hex()):
        kept = "".join(filter(str.isalnum, text))
        assert not any(kept[at : at + 8].lower() in bare.lower() for at in range(len(kept) - 7))
    assert "is wrong" in said or said == "..."


@pytest.mark.parametrize("spelled", [" ".join, "-".join, lambda secret: secret.encode().hex(" ")])
def test_a_short_secret_is_found_where_each_of_its_characters_stands_alone(spelled: Callable[[str], str]) -> None:
    assert Scrubber(["hunter-2"])(f"got {spelled('hunter-2')} here") == "got ... here"


@pytest.mark.parametrize(
    "masked",
    [
        "sk-ant-z********bCdEfGAA",
        "********fGAA",
        "****-****-fGAA",
        "…fGAA",
        "...bCdEfGAA",
        "sk-ant-api03-zYxW...",
        "sk-ant-api03-zYxWxxxxxxxxEfGAA",
        "sk-ant-****",
        "SK-ANT-API03-ZYXW****",
        "womb...a-99",
        "wombat**",
        "xxxxxxa-99",
    ],
)
@pytest.mark.parametrize("around", ["{}", "Incorrect key provided: {}. See", 'key="{}"', "({})", "x-key={}"])
def test_nothing_of_a_masked_secret_is_shown(masked: str, around: str) -> None:
    said = Scrubber(LONG)(around.format(masked))
    assert "..." in said
    for part in ("sk-ant", "zYxW", "GAA", "womb", "-99", "*"):
        assert part.lower() not in said.lower()
    assert around.partition("{")[0] in said


def test_a_usual_key_in_use_is_hidden_to_its_end() -> None:
    assert Scrubber(["sk-ant-abc/def+ghi=jkl"])("key sk-ant-abc/def+ghi=jkl!") == "key ...!"


@pytest.mark.parametrize("unit", ["a", " ", "x", "*", ".", "\\", "a.", "sk-ant-", "sk-a*", "=3D", "womb.", "6 ", "%41"])
def test_a_long_text_is_looked_through_in_a_moment(unit: str) -> None:
    scrubber, text = Scrubber([*LONG, *SECRETS, "a" * 500 + "b"]), unit * (MAX_CHARACTERS // len(unit))
    began = time.process_time()
    scrubber(text)
    assert time.process_time() - began < 1.5


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
        "the limit is over: load is high, try again...",
        "Overloaded... wait…  then go on. see docs/*.md, **bold**, 1...5, xxx, 16 x 4",
        "messages.0.content: te st\nkey of 12 letters",
        "0a 1b 2c 3d 4e 5f 60 71 82 93",
        "unwomb... wombs... wombat and zebra, quagga",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Scrubber([*SECRETS, *LONG, "overload-9", "testkey-1", "overdue-9", "", "short"])(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.anthropic.com/", "https://api.anthropic.com"),
        ("https://ann:secret@example.com/v1", "https://example.com/v1"),
        ("https://secret@example.com:8443", "https://example.com:8443"),
        ("https://a@b:secret@example.com", "https://example.com"),
        ("https://ann:se/cret@example.com/v1", "https://example.com/v1"),
        ("https://ann:se?c#ret@example.com/v1", "https://example.com/v1"),
        ("ftp://ann:secret@", "ftp://"),
        ("https://example.com/@home", "https://example.com/@home"),
        ("https://gateway.example:8443/v2/?key=x#y", "https://gateway.example:8443/v2"),
        ("me:word@proxy:80", "proxy:80"),
        ("proxy", "proxy"),
        ("http://[::1]:99", "http://[::1]:99"),
        ("http://[::1", "http://[::1"),
        ("http://h:port", "http://h:port"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert bare_url(url) == shown


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
