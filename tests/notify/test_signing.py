import base64

import pytest

from batchctl.notify.signing import signature, signature_headers, signing_bytes

# The example of the specification: https://github.com/standard-webhooks/standard-webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification_has_its_signature() -> None:
    assert signature(signing_bytes(SECRET), MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE


def test_without_a_secret_there_is_no_signature() -> None:
    assert signature_headers(None, MESSAGE_ID, TIMESTAMP, BODY) == {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP),
    }


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with whsec_"),
        ("whsec_MfKQ9r8GKYqrTwjU!D8ILPZIo2LaLaSw", "not base64"),
        ("whsec_Mf", "not base64"),
        ("whsec_", "has 0 bytes"),
        (f"whsec_{base64.b64encode(b'x' * 23).decode()}", "has 23 bytes"),
        (f"whsec_{base64.b64encode(b'x' * 65).decode()}", "has 65 bytes"),
        ("whsec_Mfä", "not base64"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(secret: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        signing_bytes(secret)
    assert secret.removeprefix("whsec_") not in str(raised.value) or secret == "whsec_"
