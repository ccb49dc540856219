"""What follows from a failed request to the API: one policy for a create, one for every other call.

The first question about a failed create is whether the batch can exist all the same. The API takes no idempotency key, so a
create that may have succeeded is never sent again before the API's list was read for it. The statuses and error codes are
those of the API reference (Errors) and of the batch processing page of the API's documentation.
"""

import re
from enum import Enum

from batchctl.domain.errors import ApiFailure
from batchctl.domain.headers import is_about_header, no_beta_options, shown_betas
from batchctl.domain.model import Headers


class AfterCreate(Enum):
    """What follows from a failed create. The value says why, for a reader of this file."""

    AGAIN = "nothing was created and the cause passes: plan the batch again, and wait before the next create"
    PAUSE = "nothing was created and no request is named as the cause: leave the batch planned, pause the job"
    HEADER = "nothing was created and a header is the cause: leave the batch planned, pause the job"
    SPLIT = "nothing was created because the body is too large: cut the batch in two"
    REFUSE = "nothing was created and a request of the batch is the cause"
    UNCONFIRMED = "a batch may exist: read the API's list for it"
    ACCEPTED = "a 2xx came without an id: a batch was created, as far as anybody can tell"


class AfterRead(Enum):
    """What follows from any other failed call. The value says why, for a reader of this file."""

    AGAIN = "the cause passes: ask again after a while"
    PAUSE = "the account is the cause"
    GONE = "the API does not know the batch, or not yet"
    FAIL = "asking again would not help"


# Parts of the API's texts on spend limits and on credit; some of these errors have no code and no status of their own.
SPEND_TEXT = ("you have reached your specified", "api usage limits", "workspace api usage limits", "extra usage")
CREDIT_TEXT = ("credit balance is too low",)
# Sentences about the sender, not about what was sent: "This organization has been disabled."
_ACCOUNT_TEXT = re.compile(
    r"\b(?:your|this|the) (?:organi[sz]ation|workspace|account|subscription|plan|api key|credential)s?\b"
    r"|^(?:organi[sz]ation|workspace|account|api key|credential)s?\b|\b(?:usage|spend(?:ing)?) limits?\b|\bauthorized for use\b"
)
# A validator names the field first, and may quote the value of it.
_FIELD = re.compile(r"^`?[a-z_][\w-]*(?:[.\[][\w-]+\]?)*`?: ")
_QUOTED = re.compile(r"'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`")
# The API's validator begins with the place of the fault in the body: `requests.3.custom_id: ...`, `requests: ...`.
_ABOUT_REQUESTS = re.compile(r"`?requests`?(?:[.\[]\d|:)")
# What `count_tokens` itself does not take. A batch may take it: "... not supported for this model" is about the request.
_ABOUT_COUNTING = re.compile(
    r"count_tokens|\b(?:token count|count(?:ing)? tokens|endpoint)"
    r"|\bnot (?:yet |currently )?supported\b(?! (?:for|by|with|on) (?:this|the) model)"
    r"|^`?\w+`?: extra inputs are not permitted",
    re.IGNORECASE,
)
# Values of `error.details.error_code`.
ACCOUNT_CODES = {
    "organization_on_hold",
    "cmek_key_disabled",
    "claude_code_key_creator_not_member",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
    "workspace_human_review_disabled",
}
REQUEST_CODES = {"image_dimensions_too_large"}
# Client error statuses after which the service may have created the batch all the same.
AMBIGUOUS_4XX = {408, 409, 499}


def is_about_account(failure: ApiFailure) -> bool:
    """Return whether the key, a permission, billing or a spend limit is the cause.

    Some of these come as a 400 that only its text distinguishes from a fault of the request.
    """
    if failure.status in {401, 402}:
        return True
    if failure.error_code in ACCOUNT_CODES:
        return True
    if failure.status == 403:
        return failure.has_envelope
    if failure.status == 400:
        return text_is_about_account(failure.message)
    text = failure.message.lower()
    is_limit = "usage limit" in text or _text_is_about_money(text)
    return failure.status == 429 and failure.retry_after is None and is_limit


def text_is_about_account(text: str) -> bool:
    """Return whether an error text is about the account, its limits or its money, and not about a field of the request.

    The API's texts may change. So this decides only which advice comes first, never whether something is sent or lost.
    """
    lowered = text.strip().lower()
    if _text_is_about_money(lowered):
        return True
    return not _FIELD.match(text.strip()) and _ACCOUNT_TEXT.search(_QUOTED.sub("", lowered)) is not None


def _text_is_about_money(lowered: str) -> bool:
    return any(part in lowered for part in (*SPEND_TEXT, *CREDIT_TEXT))


def is_about_requests(failure: ApiFailure) -> bool:
    """Return whether the API names a request of the batch as the cause. A sentence with the word "requests" does not."""
    return failure.error_code in REQUEST_CODES or _ABOUT_REQUESTS.match(failure.message.strip()) is not None


def is_about_counted_request(failure: ApiFailure) -> bool:
    """Return whether the API refuses to count the tokens of a request because of that request, which would not run either.

    A gateway, an account, a header and what `count_tokens` alone does not take say nothing about the request.
    """
    is_refusal = (failure.status, failure.error_type) in {(400, "invalid_request_error"), (413, "request_too_large")}
    if not (failure.is_from_api and is_refusal):
        return False
    is_about_call = is_about_account(failure) or is_about_header(failure.message) or is_truncated_upload(failure)
    return not is_about_call and _ABOUT_COUNTING.search(failure.message) is None


def is_truncated_upload(failure: ApiFailure) -> bool:
    """Return whether it is the 400 for a body that ended early: nothing was created, and the request has no fault."""
    text = failure.message.lower()
    return failure.status == 400 and "not valid json" in text and ("unexpected end" in text or "eof" in text)


def after_create(failure: ApiFailure) -> AfterCreate:
    """Return what follows from a failed create."""
    if not failure.sent_whole and failure.status is None:
        return AfterCreate.AGAIN
    status = failure.status
    if status is not None and 200 <= status < 300:
        return AfterCreate.ACCEPTED
    if status is None or status < 400 or status >= 500 or status in AMBIGUOUS_4XX:
        return AfterCreate.UNCONFIRMED
    if status in {401, 402} or failure.error_code in ACCOUNT_CODES:
        return AfterCreate.PAUSE
    if status == 413:
        return AfterCreate.SPLIT
    if status == 429:
        return AfterCreate.PAUSE if is_about_account(failure) else AfterCreate.AGAIN
    if not failure.has_envelope:
        # A page instead of the API's error body: a proxy or the edge answered. Of these answers only a 403 is a refusal.
        return AfterCreate.REFUSE if status == 403 else AfterCreate.UNCONFIRMED
    if is_truncated_upload(failure):
        return AfterCreate.AGAIN
    return _after_refusal(failure)


def _after_refusal(failure: ApiFailure) -> AfterCreate:
    """REFUSE only where the API names a request: a batch that is refused for good has to be fixed by hand."""
    if is_about_header(failure.message):
        return AfterCreate.HEADER
    return AfterCreate.REFUSE if failure.status != 403 and is_about_requests(failure) else AfterCreate.PAUSE


def why_paused(failure: ApiFailure, headers: Headers) -> tuple[str, str]:
    """Return why a job is paused after a create that was refused, and what a person fixes before it continues.

    `headers`: those that the create was sent with.
    """
    if after_create(failure) is AfterCreate.HEADER:
        ours = f"the job sends {shown_betas(headers.betas)} and --api-version {headers.api_version}"
        way_out = (
            "To send the rest without it" if no_beta_options(failure.message, headers.betas) else "Once that is fixed"
        )
        return (
            "the API rejects a header of this job, so that no batch can be sent",
            f"{ours}; other headers come from ANTHROPIC_CUSTOM_HEADERS; no line is the cause. {way_out}",
        )
    if is_about_account(failure):
        return "account problem", "fix the cause, then"
    return (
        "the API rejects this job and names no request",
        "nothing was created; fix the cause, then",
    )


def is_proven(failure: ApiFailure) -> bool:
    """Return whether a refused create certainly created nothing: the API itself refused it, or never had the whole body."""
    return failure.is_from_api or (failure.status is None and not failure.sent_whole)


def after_read(failure: ApiFailure) -> AfterRead:
    """Return what follows from any failed call but a create."""
    status = failure.status
    if is_about_account(failure):
        return AfterRead.PAUSE
    if status == 404 and failure.has_envelope:
        return AfterRead.GONE
    if status is None or status >= 500 or status < 300 or status in {*AMBIGUOUS_4XX, 425, 429}:
        return AfterRead.AGAIN
    return AfterRead.FAIL
