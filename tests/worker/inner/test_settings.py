"""Settings of a Worker: variables and secrets, texts or, as TOML allows, other values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from webhook import ConfigError
from webhook.worker.handlers import WorkerService, worker_settings


def env(**values: Any) -> SimpleNamespace:
    return SimpleNamespace(**values)


def test_texts_are_read_as_on_the_server() -> None:
    settings = worker_settings(
        env(WEBHOOK_API_TOKEN="secret", WEBHOOK_TIMEOUT_MS="10000", WEBHOOK_RETRY_SCHEDULE="5, 30")
    )
    assert settings.api_token == "secret"
    assert settings.config.timeout_ms == 10_000
    assert settings.config.retry_schedule_s == (5, 30)


def test_numbers_booleans_and_lists_of_wrangler_toml_count_too() -> None:
    settings = worker_settings(
        env(
            WEBHOOK_TIMEOUT_MS=10_000,
            WEBHOOK_ALLOW_HTTP=True,
            WEBHOOK_ALLOW_PRIVATE_HOSTS=False,
            WEBHOOK_RETENTION_DAYS=1.5,
            WEBHOOK_RETRY_SCHEDULE=[5, 30],
        )
    )
    assert settings.config.timeout_ms == 10_000
    assert settings.config.allow_http
    assert not settings.config.allow_private_hosts
    assert settings.config.retention_days == 1.5
    assert settings.config.retry_schedule_s == (5, 30)


def test_a_list_of_javascript_is_one_too() -> None:
    from pyodide.ffi import to_js  # noqa: PLC0415 - exists in a Worker only

    settings = worker_settings(env(WEBHOOK_RETRY_SCHEDULE=to_js([5, 30])))
    assert settings.config.retry_schedule_s == (5, 30)


def test_by_default_nothing_is_allowed_and_nobody_let_in() -> None:
    settings = worker_settings(env())
    assert settings.api_token is None
    assert not settings.config.allow_http
    assert not settings.config.allow_private_hosts


def test_what_makes_no_sense_is_said_with_the_variable_s_name() -> None:
    with pytest.raises(ConfigError, match="WEBHOOK_TIMEOUT_MS"):
        worker_settings(env(WEBHOOK_TIMEOUT_MS="soon"))


def test_changed_settings_are_read_anew() -> None:
    assert worker_settings(env(WEBHOOK_API_TOKEN="a")).api_token == "a"
    assert worker_settings(env(WEBHOOK_API_TOKEN="b")).api_token == "b"


def test_a_service_without_a_database_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="binding DB"):
        WorkerService(env())
