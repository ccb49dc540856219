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
# Of a spelling that may be spread over words: a shorter one may come about where two ordinary words meet.
LEAST_SPREAD = 12
# Of a secret, before or behind what masks the rest.
LEAST_UNMASKED = 4
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
# What stands between letters and digits, the escaped end of a line included: a text that was folded has other such.
_BETWEEN = re.compile(r"[\W_](?:(?<=\\)[nrt]|(?<==)3D)?")
_ALONE = r"[\s:._|-]{1,3}"
_WORD = re.compile(r"[\w+/=*•….-]{5,}")
_MASKS = ("*", "•", "…", "..", "xxx", "XXX")
_MASK = re.compile(r"[*•…]+|\.{2,}|x{3,}|X{3,}")
_NAME = re.compile(r"[\w-]+=(?!=)")
_URL = re.compile(r"((?:[^/?#@]*:)?//)?(?:[^/?#]*@)?([^?#]*)")
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


def bare_url(url: str) -> str:
    """A URL without user, password and query, whatever their characters. What else it holds may be secret as well."""
    try:
        _ = urlsplit(url if "//" in url else f"//{url}").port
    except ValueError:
        # A password may hold a slash that nobody escaped.
        url = re.sub(r"(?<=//).*@", "", url, flags=re.DOTALL)
    found = _URL.match(url)
    return f"{found[1] or ''}{found[2].rstrip('/')}" if found else ""


class Scrubber:
    """Takes secrets out of texts.

    As they are, in base64 and hexadecimal; folded, spaced, or masked but for their ends; and within any escapes of URLs,
    JSON and HTML.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {each for secret in secrets for each in (secret, secret.strip()) if len(each) >= LEAST_CHARACTERS}
        self._secrets = sorted(whole, key=len, reverse=True)
        forms = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        self._forms = _any_of(map(re.escape, forms))
        spread = {form: _BETWEEN.sub("", form) for form in forms}
        self._spread = _any_of(bare for bare in spread.values() if len(bare) >= LEAST_SPREAD)
        short = [form for form, bare in spread.items() if len(bare) < LEAST_SPREAD]
        self._spaced = _any_of(_ALONE.join(map(re.escape, form)) for form in short)
        self._ends = [(secret.lower(), secret.lower()[::-1]) for secret in self._secrets]

    def __call__(self, text: str) -> str:
        """Without them, at most `MOST_CHARACTERS`, and such that it can be written."""
        # The usual pattern comes last: it may take but the beginning of a secret, whose rest nobody would know.
        text = self._without_beginning(self._forms.sub(SHOWN, text[:MOST_CHARACTERS]))
        text = self._without_spread(text)
        if any(mask in text for mask in _MASKS):
            text = _WORD.sub(self._without_masked, text)
        text = _KEY.sub(SHOWN, text)
        if self._is_hidden_in(text):
            words = re.split(r"(\s+)", text)
            text = "".join(SHOWN if self._is_hidden_in(word) else word for word in words)
            text = SHOWN if self._is_hidden_in(text) else text
        return text.encode("utf-8", "replace").decode()

    def _is_hidden_in(self, text: str) -> bool:
        if not any(mark in text for mark in "%\\&"):
            return False
        return any(
            self._forms.search(view) or _KEY.search(view) or self._without_spread(view) != view for view in _views(text)
        )

    def _without_spread(self, text: str) -> str:
        """Without secrets that white space, soft ends of lines or other separators lie in."""
        text = self._spaced.sub(SHOWN, text)
        if not self._spread.search(_BETWEEN.sub("", text)):
            return text
        places: list[int] = []
        read = 0
        for between in _BETWEEN.finditer(text):
            places.extend(range(read, between.start()))
            read = between.end()
        places.extend(range(read, len(text)))
        parts, shown = [], 0
        for found in self._spread.finditer("".join(text[place] for place in places)):
            parts += [text[shown : places[found.start()]], SHOWN]
            shown = places[found.end() - 1] + 1
        return "".join((*parts, text[shown:]))

    def _without_masked(self, word: re.Match[str]) -> str:
        """Without what shows the beginning or the end of a secret, and masks the rest."""
        masks = list(_MASK.finditer(word[0]))
        if not masks:
            return word[0]
        head = word[0][: masks[0].start()].lower()
        # A sentence that ends in dots has its last mask there.
        tails = {word[0][mask.end() :].rstrip(".").lower()[::-1] for mask in (masks[0], masks[-1])}
        if not any(
            _ends_with_beginning(head, secret) or any(_ends_with_beginning(tail, backward) for tail in tails)
            for secret, backward in self._ends
        ):
            return word[0]
        name = _NAME.match(word[0])
        end = "." if word[0].endswith(".") and word[0][-2:-1].isalnum() else ""
        return f"{name[0] if name else ''}{SHOWN}{end}"

    def _without_beginning(self, text: str) -> str:
        folded = text.casefold().rstrip(".…")
        for secret in self._secrets:
            if secret[:LEAST_BEGINNING].casefold() not in folded:
                continue
            for length in range(len(secret) - 1, LEAST_BEGINNING - 1, -1):
                if folded.endswith(secret[:length].casefold()):
                    return text[: len(folded) - length] + SHOWN
        return text


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


def _ends_with_beginning(head: str, secret: str) -> bool:
    """Whether a text ends with the first characters of a secret, and these are no part of a longer word."""
    ends = (head, head.rstrip("-_"))
    return any(
        end.endswith(secret[:length]) and not end[-length - 1 : -length].isalnum()
        for end in ends
        for length in range(LEAST_UNMASKED, min(len(end), len(secret)) + 1)
    )


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
