"""What follows from a failed request to the API: the policy table, for a create and for everything else.

A create is judged by one question first: can the batch exist? The API takes no idempotency key, so "perhaps" must
never be sent again before it was looked for.
"""

from enum import Enum

from batchctl.domain.errors import ApiFailure


class AfterCreate(Enum):
    AGAIN = "nothing was created and the cause passes: plan the batch again, not before a while"
    PAUSE = "nothing was created and the account is the cause: pause the job"
    SPLIT = "nothing was created because the body is too large: cut the batch in two"
    REFUSE = "nothing was created and the request is the cause"
    DOUBT = "a batch may exist: look for it"
    ACCEPTED = "a 2xx came without an id: a batch was made, as far as anybody can tell"


class AfterRead(Enum):
    AGAIN = "the cause passes: ask again after a while"
    PAUSE = "the account is the cause"
    GONE = "the API does not know the batch, or not yet"
    FAIL = "asking again would not help"


SPEND_TEXT = ("you have reached your specified", "api usage limits", "workspace api usage limits")
CREDIT_TEXT = ("credit balance is too low",)
ACCOUNT_CODES = {
    "organization_on_hold",
    "cmek_key_disabled",
    "claude_code_key_creator_not_member",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "linked_organization_spend_limit_reached",
}
# Statuses that leave open whether the service went on working behind the answer.
UNSETTLED_4XX = {408, 409, 499}


def is_about_account(failure: ApiFailure) -> bool:
    """Key, permission, billing or a spend cap. The API's own spend limits come as a 400 that only its text tells apart."""
    if failure.status in {401, 402}:
        return True
    if failure.error_code in ACCOUNT_CODES:
        return True
    text = failure.message.lower()
    if failure.status == 403:
        return failure.has_envelope
    if failure.status == 400:
        return text_is_about_money(text)
    return failure.status == 429 and failure.retry_after is None and "usage limit" in text


def text_is_about_money(text: str) -> bool:
    lowered = text.lower()
    return any(part in lowered for part in (*SPEND_TEXT, *CREDIT_TEXT))


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
    if status is None or status < 400 or status >= 500 or status in UNSETTLED_4XX:
        return AfterCreate.DOUBT
    if is_about_account(failure):
        return AfterCreate.PAUSE
    if status == 413:
        return AfterCreate.SPLIT
    if status == 429 or is_truncated_upload(failure):
        return AfterCreate.AGAIN
    # A page instead of the API's error body: somebody between answered. Of these only a 403 is meant as a no.
    return AfterCreate.REFUSE if failure.has_envelope or status == 403 else AfterCreate.DOUBT


def is_proven(failure: ApiFailure) -> bool:
    """Whether a refused create certainly made nothing: the API itself said so, or it never had the whole body."""
    return failure.is_from_api or (failure.status is None and not failure.sent_whole)


def after_read(failure: ApiFailure) -> AfterRead:
    status = failure.status
    if is_about_account(failure):
        return AfterRead.PAUSE
    if status == 404 and failure.has_envelope:
        return AfterRead.GONE
    if status is None or status >= 500 or status < 300 or status in {*UNSETTLED_4XX, 425, 429}:
        return AfterRead.AGAIN
    return AfterRead.FAIL
