"""Where receivers say what they do not answer: the logger ``webhook.receive``."""

from __future__ import annotations

import logging

LOG = logging.getLogger("webhook.receive")


def refused(error: Exception) -> None:
    """Say why a request was refused; the answer must not."""
    LOG.warning("refused a webhook: %s: %s", type(error).__name__, error)
