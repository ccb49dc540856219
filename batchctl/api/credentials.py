"""Where the SDK found the credential, and a fingerprint of it; never the credential itself.

Importing this module imports the SDK. Only `client` does, and only when it is asked.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from anthropic.lib.credentials import CredentialsFile, StaticToken, WorkloadIdentityCredentials

from batchctl.api.protocol import Credential
from batchctl.api.scrubber import NO_SECRETS
from batchctl.api.secrets import holds_secret
from batchctl.domain.health import custom_headers

# Variables of the SDK's credential chain.
IDENTITY = ("ANTHROPIC_IDENTITY_TOKEN_FILE", "ANTHROPIC_IDENTITY_TOKEN")
_OF_TRACES = re.compile(r"trace|baggage|correlation|request-id|span-id")
OTHERS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", *IDENTITY)


def credential(client: Any) -> Credential:
    """Return where the credential of an open client of the SDK comes from."""
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
    """Return a salted fingerprint of the static key or token of an open client, and of other headers that may hold one.

    Empty where there is none, and for a credential that changes by itself. Keys are long and random, so that twelve digits of a
    salted hash lead nobody back to them.
    """
    token = client.credentials().token if isinstance(client.credentials, StaticToken) else ""
    named = {name.lower(): value for name, value in custom_headers(os.environ).items()}
    # A person's own header replaces that of the SDK.
    sent = named.pop("x-api-key", "") or client.api_key, named.pop("authorization", "") or client.auth_token or token
    # A gateway may read its key, and choose the account, from a header of any name.
    others = [f"{name}: {value}" for name, value in sorted(named.items()) if not _is_harmless(name) and value]
    url = str(client.base_url)
    # The parts of a URL that are not stored may name the account as well.
    hidden = url if holds_secret(url) else client.base_url.userinfo.decode()
    whole = "\n".join((*filter(None, (*sent, hidden)), *others))
    if not whole:
        return ""
    return hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), key=salt.encode(), digest_size=6).hexdigest()


def _is_harmless(header: str) -> bool:
    """Whether a header names no account. Headers that trace requests differ in every run."""
    return header in NO_SECRETS or _OF_TRACES.search(header) is not None


def _source(client: Any) -> str:
    """The source in the SDK's order: key, token, named profile, workload identity, active profile."""
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
