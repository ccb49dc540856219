"""Where the credential comes from, as the SDK found it. Never the credential.

Importing this module imports the SDK: only `client` does, and only when it is asked.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anthropic.lib.credentials import CredentialsFile, StaticToken, WorkloadIdentityCredentials

from batchctl.api.scrubber import NO_SECRETS
from batchctl.api.secrets import holds_secret
from batchctl.domain.health import custom_headers

IDENTITY = ("ANTHROPIC_IDENTITY_TOKEN_FILE", "ANTHROPIC_IDENTITY_TOKEN")
_OF_TRACES = re.compile(r"trace|baggage|correlation|request-id|span-id")
OTHERS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", *IDENTITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """`source` names a variable or a profile, empty where there is none; `unused`: variables that another one hides.

    `is_blank_at_an_end`: white space before or behind it, as a newline that came with it from a file.
    """

    source: str
    base_url: str
    unused: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    is_blank_at_an_end: bool = False


def credential(client: Any) -> Credential:
    """Of an open client of the SDK."""
    headers = custom_headers(os.environ)
    source = _source(client) or _from_headers(headers)
    secret = client.api_key or client.auth_token or ""
    return Credential(
        source=source,
        base_url=str(client.base_url),
        unused=tuple(name for name in OTHERS if os.environ.get(name) and name not in source),
        headers=tuple(headers),
        is_blank_at_an_end=secret != secret.strip(),
    )


def fingerprint(client: Any, salt: str) -> str:
    """Of the static key or token of an open client, and of all else among the user's own headers that may be one.

    Empty where there is nothing of it, and for a credential that changes by itself. A key is long and random: of its salted
    hash, some digits lead nobody back to it.
    """
    token = client.credentials().token if isinstance(client.credentials, StaticToken) else ""
    named = {name.lower(): value for name, value in custom_headers(os.environ).items()}
    # A header of the user's own goes in the place of the SDK's.
    sent = named.pop("x-api-key", "") or client.api_key, named.pop("authorization", "") or client.auth_token or token
    # A gateway names its keys as it likes, and the account behind it may hang on any of its headers.
    others = [f"{name}: {value}" for name, value in sorted(named.items()) if not _is_harmless(name) and value]
    url = str(client.base_url)
    # What is not stored of a URL may name the account as well.
    hidden = url if holds_secret(url) else client.base_url.userinfo.decode()
    whole = "\n".join((*filter(None, (*sent, hidden)), *others))
    if not whole:
        return ""
    return hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), key=salt.encode(), digest_size=6).hexdigest()


def _is_harmless(header: str) -> bool:
    """Whether it tells no account from another. What traces requests is another in every run."""
    return header in NO_SECRETS or _OF_TRACES.search(header) is not None


def _source(client: Any) -> str:
    """In the SDK's order: key, token, named profile, workload identity, active profile."""
    if client.api_key:
        return "ANTHROPIC_API_KEY"
    if client.auth_token or isinstance(client.credentials, StaticToken):
        return "ANTHROPIC_AUTH_TOKEN"
    if isinstance(client.credentials, WorkloadIdentityCredentials):
        return f"workload identity from {next(name for name in IDENTITY if os.environ.get(name))}"
    if isinstance(client.credentials, CredentialsFile):
        how = "ANTHROPIC_PROFILE" if os.environ.get("ANTHROPIC_PROFILE") else "the active one"
        return f"profile {getattr(client.credentials, '_profile', '')!r} ({how})"
    return "" if client.credentials is None else type(client.credentials).__name__


def _from_headers(headers: Mapping[str, str]) -> str:
    return next(
        (f"ANTHROPIC_CUSTOM_HEADERS ({name})" for name in headers if name.lower() in {"authorization", "x-api-key"}), ""
    )
