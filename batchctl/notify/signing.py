"""Signatures of webhooks, as the Standard Webhooks specification 1.0 has them: https://www.standardwebhooks.com."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


def signing_bytes(secret: str) -> bytes:
    """Return the bytes of a secret like `whsec_...`. Raises ValueError where it is none; the text is not in the message."""
    if not secret.startswith(PREFIX):
        message = f"it does not begin with {PREFIX}"
        raise ValueError(message)
    try:
        decoded = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        message = f"what follows {PREFIX} is not base64"
        raise ValueError(message) from None
    if not LEAST_BYTES <= len(decoded) <= MOST_BYTES:
        message = f"it has {len(decoded)} bytes, not {LEAST_BYTES} to {MOST_BYTES}"
        raise ValueError(message)
    return decoded


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the webhook-signature header."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()}"


def signature_headers(secret: bytes | None, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message. Without a secret there is no signature."""
    signed = {} if secret is None else {"webhook-signature": signature(secret, message_id, timestamp, body)}
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), **signed}
