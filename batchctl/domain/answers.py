"""What follows from a failed request to the API: the policy table, for a create and for everything else.

A create is judged by one question first: can the batch exist? The API takes no idempotency key, so "perhaps" must
never be sent again before it was looked for.
"""

import re
from enum import Enum

from batchctl.domain.errors import ApiFailure
from batchctl.domain.headers import is_about_header, no_beta_options, shown_betas
from batchctl.domain.model import Headers


class AfterCreate(Enum):
    AGAIN = "nothing was created and the cause passes: plan the batch again, not before a while"
    PAUSE = "nothing was created and no request is named as the cause: leave the batch planned, pause the job"
    HEADER = "nothing was created and a header is the cause: the same"
    SPLIT = "nothing was created because the body is too large: cut the batch in two"
    REFUSE = "nothing was created and what is in the batch is the cause"
    UNCONFIRMED = "a batch may exist: look for it"
    ACCEPTED = "a 2xx came without an id: a batch was made, as far as anybody can tell"


class AfterRead(Enum):
    AGAIN = "the cause passes: ask again after a while"
    PAUSE = "the account is the cause"
    GONE = "the API does not know the batch, or not yet"
    FAIL = "asking again would not help"


SPEND_TEXT = ("you have reached your specified", "api usage limits", "workspace api usage limits", "extra usage")
CREDIT_TEXT = ("credit balance is too low",)
# Said of whoever sends, and not of what was sent: "This organization has been disabled."
_ACCOUNT_TEXT = re.compile(
    r"\b(?:your|this|the) (?:organi[sz]ation|workspace|account|subscription|plan|api key|credential)s?\b"
    r"|^(?:organi[sz]ation|workspace|account|api key|credential)s?\b|\b(?:usage|spend(?:ing)?) limits?\b|\bauthorized for use\b"
)
# A validator names the field first, and may quote what it found there.
_FIELD = re.compile(r"^`?[a-z_][\w-]*(?:[.\[][\w-]+\]?)*`?: ")
_QUOTED = re.compile(r"'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`")
# The API's own validator says where in the body it found the fault: `requests.3.custom_id: ...`, `requests: ...`.
_ABOUT_REQUESTS = re.compile(r"`?requests`?(?:[.\[]\d|:)")
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
# Statuses that leave open whether the service went on working behind the answer.
AMBIGUOUS_4XX = {408, 409, 499}


def is_about_account(failure: ApiFailure) -> bool:
    """Key, permission, billing or a spend cap. Much of that comes as a 400 that only its text tells apart."""
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
    """Whether the API speaks of the account, its limits or its money, and not of a field of the request.

    Its texts may change: what this decides is which advice is given first, and never whether something is sent or lost.
    """
    lowered = text.strip().lower()
    if _text_is_about_money(lowered):
        return True
    return not _FIELD.match(text.strip()) and _ACCOUNT_TEXT.search(_QUOTED.sub("", lowered)) is not None


def _text_is_about_money(lowered: str) -> bool:
    return any(part in lowered for part in (*SPEND_TEXT, *CREDIT_TEXT))


def is_about_requests(failure: ApiFailure) -> bool:
    """Whether the API names what is in the batch. A sentence about "requests" does not."""
    return failure.error_code in REQUEST_CODES or _ABOUT_REQUESTS.match(failure.message.strip()) is not None


def is_truncated_upload(failure: ApiFailure) -> bool:
    """The 400 that says our body ended early: nothing was created and nothing is wrong with the request."""
    text = failure.message.lower()
    return failure.status == 400 and "not valid json" in text and ("unexpected end" in text or "eof" in text)


def after_create(failure: ApiFailure) -> AfterCreate:
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
        # A page instead of the API's error body: somebody between answered. Of these only a 403 is meant as a no.
        return AfterCreate.REFUSE if status == 403 else AfterCreate.UNCONFIRMED
    if is_truncated_upload(failure):
        return AfterCreate.AGAIN
    return _after_refusal(failure)


def _after_refusal(failure: ApiFailure) -> AfterCreate:
    """Only what names the requests is believed to be about them: a batch that is refused for good has to be mended by hand."""
    if is_about_header(failure.message):
        return AfterCreate.HEADER
    return AfterCreate.REFUSE if failure.status != 403 and is_about_requests(failure) else AfterCreate.PAUSE


def why_paused(failure: ApiFailure, headers: Headers) -> tuple[str, str]:
    """Return what stops a job after a create that made nothing, and what a person mends before it goes on.

    `headers`: what the create was sent with.
    """
    if after_create(failure) is AfterCreate.HEADER:
        ours = f"the job sends {shown_betas(headers.betas)} and --api-version {headers.api_version}"
        mended = (
            "To send the rest without it" if no_beta_options(failure.message, headers.betas) else "Once that is mended"
        )
        return (
            "the API refuses a header, and with it every batch of this job",
            f"{ours}; others come from ANTHROPIC_CUSTOM_HEADERS; no line is at fault. {mended}",
        )
    if is_about_account(failure):
        return "the account stops this job", "mend the cause, then"
    return (
        "the API refuses this job, and names no request",
        "nothing was created, no line is refused; mend the cause, then",
    )


def is_proven(failure: ApiFailure) -> bool:
    """Whether a refused create certainly made nothing: the API itself said so, or it never had the whole body."""
    return failure.is_from_api or (failure.status is None and not failure.sent_whole)


def after_read(failure: ApiFailure) -> AfterRead:
    status = failure.status
    if is_about_account(failure):
        return AfterRead.PAUSE
    if status == 404 and failure.has_envelope:
        return AfterRead.GONE
    if status is None or status >= 500 or status < 300 or status in {*AMBIGUOUS_4XX, 425, 429}:
        return AfterRead.AGAIN
    return AfterRead.FAIL
