"""The proxies that the environment names (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``), if asked.

Read with the standard library: aiohttp's ``trust_env`` would send a receiver what ``~/.netrc`` has.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import (  # type: ignore[attr-defined] # typeshed leaves the second one out
    getproxies_environment,
    proxy_bypass_environment,
)

import yarl

from webhook.domain.errors import ConfigError

ProxyFor = Callable[[yarl.URL], yarl.URL | None]


def env_proxies() -> ProxyFor:
    """Return a function from a URL to the proxy that dials for it, None for no proxy.

    The environment is read now. Raises ``ConfigError`` for a proxy that is none of ours to use.
    """
    named = getproxies_environment()
    proxies = {
        scheme: _proxy(scheme, text)
        for scheme in ("http", "https")
        if (text := named.get(scheme) or named.get("all"))
    }

    def proxy_for(url: yarl.URL) -> yarl.URL | None:
        if proxy_bypass_environment(url.authority, named):
            return None
        return proxies.get(url.scheme)

    return proxy_for


def _proxy(scheme: str, text: str) -> yarl.URL:
    try:
        # As other programs, take a bare proxy.corp:3128 for one that speaks HTTP.
        proxy = yarl.URL(text if "://" in text else f"http://{text}")
    except ValueError:
        proxy = yarl.URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        # It may hold a password.
        name = f"{scheme}_proxy".upper()
        raise ConfigError(f"proxy_from_env: {name} is no proxy such as http://proxy.corp:3128.")
    return proxy
