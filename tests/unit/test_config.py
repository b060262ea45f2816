"""``WebhookConfig``: sensible without options, and an option that cannot work names itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from webhook.domain.config import JITTER_DEFAULT, WebhookConfig
from webhook.domain.errors import ConfigError
from webhook.domain.retry import DEFAULT_SCHEDULE_S

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_nothing_has_to_be_set() -> None:
    config = WebhookConfig()
    assert config.timeout_ms == 15_000
    assert config.retry_policy.jitter == JITTER_DEFAULT
    assert config.retry_policy.delay_ms(1, 0.5) == DEFAULT_SCHEDULE_S[0] * 1000
    assert not config.allow_http
    assert not config.allow_private_hosts
    assert config.enable_security


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_retries", -1),
        ("max_retries", 101),
        ("retry_delay_ms", -1),
        ("retry_delay_ms", 2_592_000_001),
        ("backoff_multiplier", 0.99),
        ("backoff_multiplier", 101),
        ("backoff_multiplier", float("nan")),
        ("max_delay_ms", -1),
        ("max_delay_ms", 2_592_000_001),
        ("jitter", -0.1),
        ("jitter", 1.1),
        ("jitter", float("nan")),
        ("retry_schedule_s", (5, -1)),
        ("retry_schedule_s", (5, float("inf"))),
        ("retry_schedule_s", (5, 2_592_001)),
        ("retry_schedule_s", (1,) * 101),
        ("timeout_ms", 0),
        ("timeout_ms", -1),
        ("timeout_ms", 30_001),
        ("batch_size", 0),
        ("batch_size", 101),
        ("batch_timeout_ms", 0),
        ("batch_timeout_ms", 3_600_001),
        ("concurrency", 0),
        ("concurrency", 10_001),
        ("lease_ms", 39_999),
        ("lease_ms", 900_001),
        ("retention_days", 0.5),
        ("retention_days", 36_501),
        ("retention_days", float("nan")),
        ("payload_days", 0.5),
        ("payload_days", 30.5),
        ("payload_days", float("nan")),
        ("pending_days", 0.5),
        ("pending_days", 36_501),
        ("secret_key", ""),
        ("secret_key", "whsec_"),
        ("secret_key", "s3cr3t"),
        ("enabled_events", ("message.sent", "Message Sent")),
        ("enabled_events", ("message.*",)),
        ("scheme", "kmsg"),
        ("algorithm", "md5"),
        ("signature_header", ""),
        ("signature_header", "X Sig"),
        ("signature_header", "X-Sig\r\nX-Other"),
        ("signature_header", "X-Webhook-\r\nX-Other"),
        ("signature_header", "X-Webhook-ID"),
        ("signature_header", "content-type"),
        ("signature_prefix", "sha256=\r\n"),
        ("signature_prefix", "\u00fc="),
    ],
)
def test_an_option_out_of_range_names_itself(option: str, value: object) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigError) as caught:
        WebhookConfig(**options)
    assert caught.value.message.startswith(f"{option}: ")


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": 0},
        {"max_retries": 9},
        {"max_retries": 100, "retry_delay_ms": 1},
        {"retry_delay_ms": 0},
        {"jitter": 0},
        {"jitter": 1},
        {"timeout_ms": 1},
        {"timeout_ms": 30_000},
        {"batch_size": 1},
        {"batch_size": 100},
        {"lease_ms": 40_000},
        {"retention_days": 1},
        {"payload_days": 1},
        {"payload_days": 30},
        {"pending_days": 1, "retention_days": 90},
        {"pending_days": 90, "retention_days": 1},
        {"retry_schedule_s": ()},
        {"retry_schedule_s": (0,) * 100},
        {"enabled_events": ()},
        {"secret_key": SECRET},
        {"secret_key": "s3cr3t", "scheme": "k-msg"},
        {"signature_prefix": "", "scheme": "k-msg", "algorithm": "sha1"},
        {"signature_header": "X-Hub-Signature-256", "scheme": "k-msg"},
        {"signature_header": "X-Webhook-Signature", "scheme": "k-msg"},
    ],
)
def test_the_ends_of_each_range_are_inside(options: dict[str, Any]) -> None:
    WebhookConfig(**options)


def test_two_options_that_contradict_each_other_are_both_named() -> None:
    with pytest.raises(ConfigError) as caught:
        WebhookConfig(retry_schedule_s=(1, 2), retry_delay_ms=1000)
    assert "retry_schedule_s" in caught.value.message
    assert "retry_delay_ms" in caught.value.message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_retries": 10}, ("max_retries", "retry_schedule_s", "retry_delay_ms")),
        (
            {"max_retries": 3, "retry_schedule_s": (1, 2)},
            ("max_retries", "retry_schedule_s", "retry_delay_ms"),
        ),
        ({"max_delay_ms": 60_000}, ("max_delay_ms", "retry_delay_ms")),
        ({"backoff_multiplier": 3}, ("backoff_multiplier", "retry_delay_ms")),
        ({"retry_delay_ms": 2, "max_delay_ms": 1}, ("retry_delay_ms", "max_delay_ms")),
        ({"algorithm": "sha1"}, ("algorithm", "scheme", "k-msg")),
        ({"signature_header": "X-Hub-Signature"}, ("signature_header", "scheme", "k-msg")),
        ({"signature_prefix": ""}, ("signature_prefix", "scheme", "k-msg")),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_with_the_remedy(
    options: dict[str, Any], named: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        WebhookConfig(**options)
    assert caught.value.message.startswith(f"{named[0]}: ")
    assert all(name in caught.value.message for name in named)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="max_retry"):
        msgspec.convert({"max_retry": 3}, WebhookConfig)


@pytest.mark.parametrize(("jitter", "share"), [(True, 0.2), (False, 0.0), (0.5, 0.5), (1, 1.0)])
def test_jitter_is_a_switch_or_a_share(jitter: float | bool, share: float) -> None:
    assert WebhookConfig(jitter=jitter).retry_policy.jitter == share


def test_retry_options_reach_the_policy() -> None:
    policy = WebhookConfig(
        retry_delay_ms=100, backoff_multiplier=3, max_delay_ms=500, max_retries=3, jitter=False,
        transient_only=True,
    ).retry_policy  # fmt: skip
    assert [policy.delay_ms(retry, 0.5) for retry in (1, 2, 3, 4)] == [100, 300, 500, None]
    assert policy.transient_only


def test_every_option_has_a_sentence() -> None:
    """Pages, command line and documentation show it."""
    schema = msgspec.json.schema(WebhookConfig)
    for name, option in schema["$defs"]["WebhookConfig"]["properties"].items():
        assert option.get("description", "").endswith("."), name


def test_the_secret_is_not_printed() -> None:
    assert SECRET not in repr(WebhookConfig(secret_key=SECRET))
    assert SECRET not in str([WebhookConfig(secret_key=SECRET)])


def test_an_error_about_a_secret_does_not_print_it() -> None:
    with pytest.raises(ConfigError) as caught:
        WebhookConfig(secret_key="whsec_hunter2hunter2")
    assert "hunter2" not in str(caught.value)
