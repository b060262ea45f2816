"""The least of a Django project, whose views are chosen by the test that runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings

from webhook.receive import Receiver, Verifier


def configure() -> None:
    """Configure Django once for the process."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="of no use",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
            LOGGING_CONFIG=None,
        )
        django.setup()


urlpatterns: list[Any] = []


@contextmanager
def routes_to(
    verifier: Verifier, receiver: Receiver, handle: Callable[[Any], Any]
) -> Iterator[None]:
    """Have ``/signed`` call ``handle``, and ``/receiver`` the receiver's handlers."""
    from django.urls import clear_url_caches, path  # noqa: PLC0415 - needs settings

    from webhook.receive.django import signed, view  # noqa: PLC0415 - as above

    @signed(verifier)
    def hook(_request: Any, event: Any) -> None:
        handle(event)

    @signed(verifier)
    async def hook_async(_request: Any, event: Any) -> None:
        await handle(event)

    chosen = hook_async if inspect.iscoroutinefunction(handle) else hook
    urlpatterns[:] = [path("signed", chosen), path("receiver", view(receiver))]
    clear_url_caches()
    yield
    urlpatterns.clear()
    clear_url_caches()
