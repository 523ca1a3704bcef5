"""Headers and bodies of servers, read without a server."""

from __future__ import annotations

import pytest

from dataforge.errors import PermanentError, QuotaError, RateLimitError, TransientError
from dataforge.models import wire

ENDPOINT = wire.Endpoint("http://host/v1", "m", "MY_KEY", "sk-0123456789")
DATE = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 -0000", "date": DATE}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers, seconds):
    assert wire.retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no"}}', "“no”"),
        (b'{"message": "no"}', "“no”"),
        (b'{"detail": "no"}', "“no”"),
        (b'{"error": "no"}', "“no”"),
        (b"plain no", "“plain no”"),
        (b"", "an empty body"),
        (b"[1]", "“[1]”"),
        (b"<html><title>Oh\x07</title>", "an HTML page titled 'Oh\\\\x07', not JSON"),
        (b'{"error": {"message": "bad key sk-0123456789"}}', "“bad key …”"),
        (b"x" * 500, "“" + "x" * 200 + "…”"),
    ],
)
def test_what_the_server_said_is_shown_in_every_shape(body, said):
    error = wire.refusal(ENDPOINT, 400, {}, body)
    assert error.message == f"http://host/v1 (model `m`) answered 400: {said}"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (429, {}, b"", RateLimitError),
        (503, {"retry-after": "1"}, b"", RateLimitError),
        (503, {}, b"", TransientError),
        (599, {}, b"", TransientError),
        (425, {}, b"", TransientError),
        (429, {}, b'{"error": {"code": "insufficient_quota"}}', QuotaError),
        (429, {"retry-after": "1"}, b'{"error": {"code": "insufficient_quota"}}', QuotaError),
        (402, {}, b"Payment Required", QuotaError),
        (403, {}, b"Your credit balance is too low", QuotaError),
        (400, {}, b'{"error": {"message": "Your credit balance is too low"}}', QuotaError),
        (400, {}, b'{"error": {"message": "No billing address in the schema"}}', PermanentError),
        (403, {}, b"Forbidden", PermanentError),
        # Providers speak of quota and of billing in ordinary rate limits too.
        (429, {"retry-after": "20"}, b"You exceeded your current quota, see billing", RateLimitError),
        (429, {}, b"Rate limit reached for m: 3 a minute. Add a payment method at /billing", RateLimitError),
        (429, {}, b"You exceeded your current quota, please check your plan and billing", QuotaError),
        (
            429,
            {},
            b'{"error": {"message": "Rate limit reached: see /account/billing/limits"}}',
            RateLimitError,
        ),
        (403, {}, b'{"error": {"code": "billing_hard_limit_reached", "message": "no"}}', QuotaError),
        # What a moderator quotes of the prompt says nothing of the account.
        (
            403,
            {},
            b'{"error": {"message": "flagged", "metadata": {"input": "my credit balance"}}}',
            PermanentError,
        ),
        (
            403,
            {},
            b'{"error": {"message": "flagged", "metadata": {"input": "a billing clerk"}}}',
            PermanentError,
        ),
        (301, {}, b"", PermanentError),
        (418, {}, b"", PermanentError),
    ],
)
def test_each_status_is_one_kind_of_error(status, headers, body, kind):
    error = wire.refusal(ENDPOINT, status, headers, body)
    assert type(error) is kind
    assert error.help


def test_the_key_is_in_no_representation():
    assert "sk-" not in repr(ENDPOINT) + str(ENDPOINT)


def test_an_error_with_status_200_is_an_error():
    with pytest.raises(RateLimitError):
        wire.reply(ENDPOINT, b'{"error": {"code": 429, "message": "slow"}}', constrained=False, latency_s=0)
    with pytest.raises(TransientError):
        wire.reply(ENDPOINT, b'{"error": "odd"}', constrained=False, latency_s=0)
