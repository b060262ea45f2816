"""The corpus of hostile URLs in a Worker, whose Python is another one: none of them is fetched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.corpus import HOSTILE, LEGITIMATE
from webhook import ConfigError, WebhookConfig
from webhook.adapters.cloudflare import fetch_sender
from webhook.adapters.cloudflare.fetch_sender import FetchSender
from webhook.adapters.system import SystemClock
from webhook.domain.model import ErrorKind
from webhook.domain.url_rules import UrlRules, check_url
from webhook.runtime import default_sender


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been fetched; nothing is."""
    urls: list[str] = []

    async def post(url: str, *_: object) -> Any:
        urls.append(url)
        return SimpleNamespace(status=204, headers={}, js_object=SimpleNamespace(body=None))

    monkeypatch.setattr(fetch_sender, "post", post)
    return urls


async def test_no_hostile_url_is_fetched(fetched: list[str]) -> None:
    sender = FetchSender(UrlRules(), clock=SystemClock())
    wrong = []
    for line in HOSTILE:
        outcome = await sender.send(line.url, {}, b"{}", 5_000)
        if outcome.error_kind is not ErrorKind.BLOCKED:
            wrong.append(line)
    assert wrong == []
    assert fetched == []


async def test_legitimate_urls_are_fetched_as_they_were_checked(fetched: list[str]) -> None:
    sender = FetchSender(UrlRules(), clock=SystemClock())
    for line in LEGITIMATE:
        outcome = await sender.send(line.url, {}, b"{}", 5_000)
        assert outcome.status_code == 204, line
    assert fetched == [check_url(line.url, UrlRules()) for line in LEGITIMATE]


def test_a_worker_has_no_proxies() -> None:
    with pytest.raises(ConfigError, match="proxy_from_env"):
        default_sender(WebhookConfig(proxy_from_env=True), SystemClock())
