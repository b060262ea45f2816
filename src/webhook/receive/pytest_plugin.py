"""The fixture ``webhook_sender``; ``pytest_plugins = ["webhook.receive.pytest_plugin"]``."""

from __future__ import annotations

import pytest

from webhook.receive.testing import WebhookSender


@pytest.fixture
def webhook_sender(monkeypatch: pytest.MonkeyPatch) -> WebhookSender:
    """A sender with a new secret, which stands in ``WEBHOOK_SECRET`` for ``from_env`` to find."""
    sender = WebhookSender()
    monkeypatch.setenv("WEBHOOK_SECRET", sender.secret)
    return sender
