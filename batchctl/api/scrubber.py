"""Removes secrets from texts by their values, however a text spells them.

By values and not by patterns: a gateway may use keys of any form, and a server may quote a key encoded, folded or masked.
"""

import base64
import html
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from urllib.parse import unquote, unquote_plus, urlsplit

SHOWN = "..."
# A shorter value may stand in any ordinary text.
MIN_CHARACTERS = 6
# How many first characters of a secret are recognised at the end of a text that was cut.
MIN_BEGINNING = 8
# The shortest spelling that is recognised across separators: a shorter one may arise where two ordinary words meet.
MIN_SPREAD = 12
# How many characters of a secret are recognised before or behind a mask like `***`.
MIN_UNMASKED = 4
# Headers that hold no secret, whoever sets them.
NO_SECRETS = frozenset(
    {"accept", "anthropic-beta", "anthropic-version", "content-type", "content-length", "user-agent"}
)
NAMES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_IDENTITY_TOKEN")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")

_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+|(?<=Bearer )\S+")
# Escapes of JSON, also where they were escaped again.
_ESCAPES = tuple(
    re.compile(rf"{slashes}(?:u00([0-9a-f]{{2}})|x([0-9a-f]{{2}})|(\\|[^ux\s]))", re.IGNORECASE)
    for slashes in (r"\\", r"\\+")
)
# Separators between letters and digits, with the escaped ends of lines that folding a text inserts.
_BETWEEN = re.compile(r"[\W_](?:(?<=\\)[nrt]|(?<==)3D)?")
_ALONE = r"[\s:._|-]{1,3}"
_WORD = re.compile(r"[\w+/=*•….-]{5,}")
_MASKS = ("*", "•", "…", "..", "xxx", "XXX")
_MASK = re.compile(r"[*•…]+|\.{2,}|x{3,}|X{3,}")
_NAME = re.compile(r"[\w-]+=(?!=)")
_URL = re.compile(r"((?:[^/?#@]*:)?//)?(?:[^/?#]*@)?([^?#]*)")
# How many layers of escapes are undone, as where a gateway quotes an error that quotes a request.
MAX_LAYERS = 3
# What follows in a longer text is not searched, and so not shown.
MAX_CHARACTERS = 20_000


def secrets_of(environment: Mapping[str, str], headers: Mapping[str, str], base_url: str = "") -> frozenset[str]:
    """Return every secret in these variables, headers of requests, and URLs."""
    urls = [base_url, *(value for name, value in environment.items() if name.lower() in PROXIES)]
    return frozenset(
        [
            *(environment.get(name, "") for name in NAMES),
            *(each for name, value in headers.items() if name.lower() not in NO_SECRETS for each in _parts(value)),
            *(password for url in urls for password in _passwords(url)),
        ]
    )


def _parts(header: str) -> Iterable[str]:
    """The value of a header, what follows its scheme, and the password in that."""
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
    """Return a URL without user, password and query, whatever their characters. What is left may hold a secret, too."""
    try:
        _ = urlsplit(url if "//" in url else f"//{url}").port
    except ValueError:
        # A password may hold a slash that nobody escaped.
        url = re.sub(r"(?<=//).*@", "", url, flags=re.DOTALL)
    parts = _URL.match(url)
    return f"{parts[1] or ''}{parts[2].rstrip('/')}" if parts else ""


class Scrubber:
    """Removes secrets from texts.

    It recognises them as they are, in base64 and hexadecimal; folded, spaced, or masked except for their ends; and within any
    escapes of URLs, JSON and HTML.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {each for secret in secrets for each in (secret, secret.strip()) if len(each) >= MIN_CHARACTERS}
        self._secrets = sorted(whole, key=len, reverse=True)
        forms = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        self._forms = _any_of(map(re.escape, forms))
        spread = {form: _BETWEEN.sub("", form) for form in forms}
        self._spread = _any_of(bare for bare in spread.values() if len(bare) >= MIN_SPREAD)
        short = [form for form, bare in spread.items() if len(bare) < MIN_SPREAD]
        self._spaced = _any_of(_ALONE.join(map(re.escape, form)) for form in short)
        self._ends = [(secret.lower(), secret.lower()[::-1]) for secret in self._secrets]

    def __call__(self, text: str) -> str:
        """Return the text without secrets, at most `MAX_CHARACTERS` of it, and such that it can be encoded."""
        # The usual pattern comes last: it may match only the beginning of a secret, whose rest would not be recognised then.
        text = self._without_beginning(self._forms.sub(SHOWN, text[:MAX_CHARACTERS]))
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
        """The text without secrets that contain white space, folded lines or other separators."""
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
        for match in self._spread.finditer("".join(text[place] for place in places)):
            parts += [text[shown : places[match.start()]], SHOWN]
            shown = places[match.end() - 1] + 1
        return "".join((*parts, text[shown:]))

    def _without_masked(self, word: re.Match[str]) -> str:
        """A word without the beginning or the end of a secret whose rest is masked."""
        masks = list(_MASK.finditer(word[0]))
        if not masks:
            return word[0]
        head = word[0][: masks[0].start()].lower()
        # At the end of a sentence, dots may be the last mask.
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
            if secret[:MIN_BEGINNING].casefold() not in folded:
                continue
            for length in range(len(secret) - 1, MIN_BEGINNING - 1, -1):
                if folded.endswith(secret[:length].casefold()):
                    return text[: len(folded) - length] + SHOWN
        return text


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


def _ends_with_beginning(head: str, secret: str) -> bool:
    """Whether a text ends with the first characters of a secret, and these are not the end of a longer word."""
    ends = (head, head.rstrip("-_"))
    return any(
        end.endswith(secret[:length]) and not end[-length - 1 : -length].isalnum()
        for end in ends
        for length in range(MIN_UNMASKED, min(len(end), len(secret)) + 1)
    )


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    yield secret
    yield raw.hex()
    for before, encode in product(range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        # Bytes before it shift its base64; the characters at both ends depend on the bytes around it.
        shifted = encode(bytes(before) + raw).rstrip(b"=").decode()
        inner = shifted[(0, 2, 3)[before] : len(shifted) - bool((before + len(raw)) % 3)]
        if len(inner) >= MIN_CHARACTERS:
            yield inner


_READ: tuple[Callable[[str], str], ...] = (
    unquote,
    unquote_plus,
    html.unescape,
    *(partial(escape.sub, lambda found: found[3] or chr(int(found[1] or found[2], 16))) for escape in _ESCAPES),
)


def _views(text: str) -> set[str]:
    """The text, and the text with its escapes undone in every way."""
    views = newest = {text}
    for _ in range(MAX_LAYERS):
        newest = {read(view) for view in newest for read in _READ} - views
        views = views | newest
    return views
