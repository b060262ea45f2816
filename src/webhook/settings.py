"""Settings: what ``WEBHOOK_*`` variables say, read once and checked, for server and Worker alike.

Pure: takes a mapping, such as ``os.environ`` or a Worker's ``env``, and touches nothing else. Every
option of ``WebhookConfig`` is ``WEBHOOK_`` and its name in capitals; its sentence stands there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

from webhook.domain.config import WebhookConfig
from webhook.domain.encryption import EncryptionKey, read_encryption_keys
from webhook.domain.errors import ConfigError
from webhook.domain.postgres_address import PostgresAddress

PREFIX = "WEBHOOK_"
# Read by other programs of ours: the client's address, a receiver's secret, and what `make worker`
# needs.
_OF_OTHERS = re.compile(r"WEBHOOK_URL|WEBHOOK_SECRET|WEBHOOK_DEV_\w+")
_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"0", "false", "no"})
_STORES = (
    "memory://, sqlite:///relative.db, sqlite:////absolute/path.db or "
    "postgresql://user:password@host:5432/name"
)


class StoreAddress(msgspec.Struct, frozen=True):
    """Where everything is kept: a kind of store and, for SQLite, the file, else the database."""

    kind: Literal["memory", "sqlite", "postgresql"]
    path: str | None = None
    database: PostgresAddress | None = None

    def __str__(self) -> str:
        """Return the address as one writes it, without a password."""
        if self.database is not None:
            return self.database.shown()
        return "memory://" if self.path is None else f"sqlite:///{self.path}"

    def __repr__(self) -> str:
        """Hide a password from logs."""
        return f"StoreAddress({str(self)!r})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. The Worker uses the token, the rate and ``config``, the server all."""

    api_token: Annotated[
        str | None,
        Meta(description="Token that callers of the API show; the server makes one if none is."),
    ] = None
    store: Annotated[StoreAddress, Meta(description=f"Where everything is kept: {_STORES}.")] = (
        StoreAddress("sqlite", "webhook.db")
    )
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on; 0 takes a free one.")] = 8787
    insecure: Annotated[
        bool, Meta(description="Ask no token of anybody; only on a loopback address.")
    ] = False
    requests_per_second: Annotated[
        float | None,
        Meta(description="Requests a second that each token has in each process; not set is any."),
    ] = None
    connections_max: Annotated[
        int, Meta(description="Connections that a server serves at once; more get 503.")
    ] = 512
    request_s: Annotated[
        float, Meta(description="How long a server waits for a request to come whole.")
    ] = 30.0
    grace_s: Annotated[
        float, Meta(description="How long a server that ends waits for what is under way.")
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least level that is logged."),
    ] = "info"
    encryption_keys: Annotated[
        tuple[EncryptionKey, ...],
        Meta(
            description="Keys that encrypt secrets at rest, commas between them: the first "
            "encrypts, all decrypt. The server makes one if none is."
        ),
    ] = ()
    config: WebhookConfig = WebhookConfig()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Hide the token and the secret from logs."""
        return f"Settings(store={str(self.store)!r}, host={self.host!r}, port={self.port})"


# --- how a text becomes a value; a ValueError says what is wrong and what to give ----------------


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("is neither yes nor no. Give 1, true or yes, or else 0, false or no.")


def _integer(text: str) -> int:
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        raise ValueError("is no whole number. Give digits alone.")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("is no number. Give one such as 2 or 0.5.")
    return value


def _within(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = _integer(text)
        if not low <= value <= high:
            raise ValueError(f"is not between {low} and {high}.")
        return value

    return read


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 3600:  # noqa: PLR2004 - an hour
        raise ValueError("is not between 0 and 3600 seconds.")
    return value


def _time_limit(text: str) -> float:
    value = _number(text)
    if not 1 <= value <= 3600:  # noqa: PLR2004 - from what the network may take to an hour
        raise ValueError("is not between 1 and 3600 seconds.")
    return value


def _rate(text: str) -> float:
    value = _number(text)
    if not 0.01 <= value <= 1_000_000:  # noqa: PLR2004 - a request in 100 s, and more than there are
        raise ValueError("is not between 0.01 and 1000000.")
    return value


def _share(text: str) -> float | bool:
    """Read a share, or whether there is one at all; 0 and 1 are shares."""
    if text.lower() in (_TRUE | _FALSE) - {"0", "1"}:
        return _boolean(text)
    return _number(text)


def _schedule(text: str) -> tuple[float, ...]:
    try:
        return tuple(_number(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError("is no list of seconds. Give them like this: 5,300,1800") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"is not known. Give {', '.join(choices[:-1])} or {choices[-1]}.")
        return text.lower()

    return read


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed. Leave them out.")
    return text


def _token(text: str) -> str:
    # What a header cannot carry, no caller could ever show.
    if re.fullmatch(r"[!-~]+", text) is None:
        raise ValueError("is no token. A token is made of visible ASCII characters, no spaces.")
    return text


def read_store(text: str) -> StoreAddress:
    """Read a store's address. A ``ValueError`` says what is wrong and what to give."""
    if text == "memory://":
        return StoreAddress("memory")
    kind, separator, rest = text.partition("://")
    if kind in {"postgres", "postgresql"} and separator:
        return StoreAddress("postgresql", database=PostgresAddress.read(text))
    if kind != "sqlite" or not separator:
        raise ValueError(f"is no store. Give {_STORES}.")
    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path or path.endswith("/"):
        raise ValueError(f"names no file: there are three slashes before it. Give {_STORES}.")
    if path == ":memory:":
        raise ValueError("is spelled memory:// here.")
    if "?" in path or "\0" in path:
        raise ValueError("takes no options. Give the file alone, such as sqlite:///webhook.db.")
    return StoreAddress("sqlite", path)


class Setting(NamedTuple):
    """One variable: its name, what it sets, and how its text is read.

    ``of_config`` tells an option of ``WebhookConfig`` from a field of ``Settings``.
    """

    name: str
    field: str
    read: Callable[[str], Any]
    of_config: bool

    @property
    def sentence(self) -> str:
        """What it is for, as said where the field is defined."""
        owner = WebhookConfig if self.of_config else Settings
        hint = get_type_hints(owner, include_extras=True)[self.field]
        return next(m.description for m in hint.__metadata__ if isinstance(m, Meta)) or ""


_OWN: dict[str, Callable[[str], Any]] = {
    "api_token": _token,
    "store": read_store,
    "host": _text,
    "port": _within(0, 65_535),
    "insecure": _boolean,
    "requests_per_second": _rate,
    "connections_max": _within(1, 100_000),
    "request_s": _time_limit,
    "grace_s": _seconds,
    "log_level": _one_of("debug", "info", "warning", "error"),
    "encryption_keys": read_encryption_keys,
}
_CONFIG: dict[str, Callable[[str], Any]] = {
    "max_retries": _integer,
    "retry_delay_ms": _integer,
    "backoff_multiplier": _number,
    "max_delay_ms": _integer,
    "jitter": _share,
    "retry_schedule_s": _schedule,
    "transient_only": _boolean,
    "timeout_ms": _integer,
    "enable_security": _boolean,
    "secret_key": _text,
    "scheme": _one_of("standard", "k-msg"),
    "algorithm": _one_of("sha256", "sha1"),
    "signature_header": _text,
    "signature_prefix": _text,
    "enabled_events": _names,
    "check_payloads": _one_of("off", "warn", "refuse"),
    "batch_size": _integer,
    "batch_timeout_ms": _integer,
    "concurrency": _integer,
    "lease_ms": _integer,
    "retention_days": _number,
    "payload_days": _number,
    "pending_days": _number,
    "audit_days": _number,
    "endpoints_per_tenant": _integer,
    "allow_private_hosts": _boolean,
    "allow_http": _boolean,
    "allow_http_for_localhost": _boolean,
    "allow_hosts": _names,
    "deny_hosts": _names,
    "proxy_from_env": _boolean,
    "dns_over_https": _text,
}
_SHORTER = {"retry_schedule_s": "WEBHOOK_RETRY_SCHEDULE"}
# Set and empty is as if it were not set, except where empty is a value of its own.
_MAY_BE_EMPTY = frozenset({"signature_prefix"})
SECRET = frozenset({"api_token", "secret_key", "encryption_keys"})
# The command line of a process can be read by others on the machine.
NO_FLAG = frozenset({"encryption_keys"})


def _table() -> Iterator[Setting]:
    for readers, of_config in ((_OWN, False), (_CONFIG, True)):
        for field, read in readers.items():
            name = _SHORTER.get(field, PREFIX + field.upper())
            yield Setting(name, field, read, of_config)


SETTINGS = {setting.name: setting for setting in _table()}
"""Every variable there is, by its name."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the ``WEBHOOK_*`` variables of a mapping; what is not set has its default.

    Raises ``ConfigError`` naming the variable and the remedy. A ``WEBHOOK_*`` that means nothing is
    no error, since another program may know it: ``warnings`` has a sentence for each.
    """
    own: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for setting in SETTINGS.values():
        text = environ.get(setting.name)
        if text is None or (not text.strip() and setting.field not in _MAY_BE_EMPTY):
            continue
        try:
            value = setting.read(text.strip())
        except ValueError as error:
            shown = "the value" if _may_hold_secret(setting, text) else repr(text[:80])
            raise ConfigError(f"{setting.name}: {shown} {error}") from None
        (options if setting.of_config else own)[setting.field] = value
    try:
        config = WebhookConfig(**options)
    except ConfigError as error:
        raise ConfigError(_in_variables(error.message)) from None
    return Settings(**own, config=config, warnings=tuple(_unknown(environ)))


def _may_hold_secret(setting: Setting, text: str) -> bool:
    # Where an address went wrong, nobody can tell what of it was the password.
    is_plain = re.fullmatch(r"[\w.+-]*(:/*)?[\w./ -]*", text) is not None
    return setting.field in SECRET or (setting.field == "store" and not is_plain)


def _in_variables(message: str) -> str:
    """Say in a sentence about options which variables they come from."""
    names = {setting.field: setting.name for setting in SETTINGS.values() if setting.of_config}
    option = re.compile(rf"(?:^|(?<=[cC]ontradicts )|(?<=set ))(?:{'|'.join(names)})\b")
    return option.sub(lambda match: names[match[0]], message)


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in SETTINGS or _OF_OTHERS.fullmatch(name):
            continue
        from difflib import get_close_matches  # noqa: PLC0415 - seldom needed, kept light

        close = get_close_matches(name, SETTINGS, n=1, cutoff=0.75)
        meant = f" Did you mean {close[0]}?" if close else ""
        yield f"{name} is no setting and has no effect.{meant}"
