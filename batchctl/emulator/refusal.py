"""What a refused call looks like: the API's error envelope, and the bare or HTML forms of the edge in front of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

MESSAGES: Mapping[int, str] = {
    401: "API key is invalid.",
    402: "There is a problem with your billing or payment information.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit.",
    500: "Internal server error",
    504: "The request timed out.",
    529: "Overloaded",
}

TOO_LARGE = {"error": {"type": "request_too_large", "message": MESSAGES[413]}}


@dataclass(eq=False)
class Refused(Exception):
    """A call that gets an error envelope instead of an answer."""

    status: int
    message: str = ""
    type: str = ""
    error_code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The body: `{"type": "error", "error": {"type", "message", "details"?}, "request_id"}`."""
        told = self.message or MESSAGES.get(self.status, "The request could not be served.")
        error: dict[str, Any] = {
            "type": self.type or TYPES.get(self.status, "api_error"),
            # A message may quote what was sent, and JSON can spell text that UTF-8 cannot.
            "message": told.encode("utf-8", "replace").decode(),
        }
        if self.error_code:
            error["details"] = {"error_code": self.error_code}
        return {"type": "error", "error": error, "request_id": request_id}


def invalid(message: str) -> Refused:
    """Return a 400 as the API writes it."""
    return Refused(400, message)


def unknown_batch(batch_id: str) -> Refused:
    """Return the 404 for a batch."""
    return Refused(404, f"Message Batch {batch_id} not found.")


def no_results(batch_id: str, *, is_early: bool) -> Refused:
    """`is_early`: there will be some; the SDK is told not to ask again by itself."""
    headers = {"x-should-retry": "false"} if is_early else {}
    return Refused(404, f"Message Batch {batch_id} has no available results.", headers=headers)


def edge_page(status: int) -> bytes:
    """HTML as a proxy in front of the API writes it."""
    return (
        f"<!DOCTYPE html>\n<html>\n<head><title>{status}</title></head>\n"
        f"<body><center><h1>Error {status}</h1></center><hr><center>edge</center></body>\n</html>\n"
    ).encode()
