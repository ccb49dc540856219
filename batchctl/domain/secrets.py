"""Secrets are kept out of what is shown and remembered by their values, however a text spells them."""

import base64
import html
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from urllib.parse import unquote, unquote_plus, urlsplit

SHOWN = "..."
# A shorter value is a word that texts are full of, and no secret.
LEAST_CHARACTERS = 6
# Of a secret at the end of a text that was cut.
LEAST_BEGINNING = 8
# Headers that say how to talk, whoever sets them.
NO_SECRETS = frozenset(
    {"accept", "anthropic-beta", "anthropic-version", "content-type", "content-length", "user-agent"}
)
NAMES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_IDENTITY_TOKEN")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")

_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+|(?<=Bearer )\S+")
# Once, and however often an escape was escaped.
_ESCAPES = tuple(
    re.compile(rf"{slashes}(?:u00([0-9a-f]{{2}})|x([0-9a-f]{{2}})|(\\|[^ux\s]))", re.IGNORECASE)
    for slashes in (r"\\", r"\\+")
)
# Text within text, as a gateway quotes an error that quotes a request.
MOST_LAYERS = 3
# More of a text is not looked through, and so not shown.
MOST_CHARACTERS = 20_000


def secrets_of(environment: Mapping[str, str], headers: Mapping[str, str], base_url: str = "") -> frozenset[str]:
    """Every secret among these variables, these headers of requests, and within these URLs."""
    urls = [base_url, *(value for name, value in environment.items() if name.lower() in PROXIES)]
    return frozenset(
        [
            *(environment.get(name, "") for name in NAMES),
            *(each for name, value in headers.items() if name.lower() not in NO_SECRETS for each in _parts(value)),
            *(password for url in urls for password in _passwords(url)),
        ]
    )


def _parts(header: str) -> Iterable[str]:
    """A value, what follows its scheme, and the password in that."""
    value = header.strip()
    credential = value.partition(" ")[2].strip()
    yield value
    yield credential
    if value.lower().startswith("basic "):
        try:
            user = base64.b64decode(credential).decode()
        except ValueError:
            return
        yield user
        yield user.partition(":")[2]


def _passwords(url: str) -> Iterable[str]:
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return
    yield password
    yield unquote(password)


class Scrubber:
    """Takes secrets out of texts: as they are, in base64 and hexadecimal, and within any escapes of URLs, JSON and HTML."""

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {each for secret in secrets for each in (secret, secret.strip()) if len(each) >= LEAST_CHARACTERS}
        self._secrets = sorted(whole, key=len, reverse=True)
        forms = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        self._forms = re.compile("|".join(map(re.escape, forms)) or r"(?!)", re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """Without them, at most `MOST_CHARACTERS`, and such that it can be written."""
        text = self._forms.sub(SHOWN, _KEY.sub(SHOWN, text[:MOST_CHARACTERS]))
        if self._is_hidden_in(text):
            words = re.split(r"(\s+)", text)
            text = "".join(SHOWN if self._is_hidden_in(word) else word for word in words)
            text = SHOWN if self._is_hidden_in(text) else text
        return self._without_beginning(text).encode("utf-8", "replace").decode()

    def _is_hidden_in(self, text: str) -> bool:
        if not any(mark in text for mark in "%\\&"):
            return False
        return any(self._forms.search(view) or _KEY.search(view) for view in _views(text))

    def _without_beginning(self, text: str) -> str:
        folded = text.casefold().rstrip(".…")
        for secret in self._secrets:
            if secret[:LEAST_BEGINNING].casefold() not in folded:
                continue
            for length in range(len(secret) - 1, LEAST_BEGINNING - 1, -1):
                if folded.endswith(secret[:length].casefold()):
                    return text[: len(folded) - length] + SHOWN
        return text


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    yield secret
    yield raw.hex()
    for before, encode in product(range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        # What stands before it shifts it; the characters at both ends depend on its neighbours.
        shifted = encode(bytes(before) + raw).rstrip(b"=").decode()
        inner = shifted[(0, 2, 3)[before] : len(shifted) - bool((before + len(raw)) % 3)]
        if len(inner) >= LEAST_CHARACTERS:
            yield inner


_READ: tuple[Callable[[str], str], ...] = (
    unquote,
    unquote_plus,
    html.unescape,
    *(partial(escape.sub, lambda found: found[3] or chr(int(found[1] or found[2], 16))) for escape in _ESCAPES),
)


def _views(text: str) -> set[str]:
    """The text as whoever undoes its escapes reads it."""
    views = newest = {text}
    for _ in range(MOST_LAYERS):
        newest = {read(view) for view in newest for read in _READ} - views
        views = views | newest
    return views
