"""Gives a command the settings as its flags. A flag wins over the variable of the same name."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Container
from typing import Annotated, Any, get_type_hints

import typer

from webhook.cli.terminal import ExitCode, fail, warn
from webhook.domain.config import WebhookConfig
from webhook.domain.errors import ConfigError
from webhook.settings import NO_FLAG, PREFIX, SECRET, SETTINGS, Setting, Settings, read_settings

_METAVARS = {
    "host": "ADDRESS",
    "port": "PORT",
    "api_token": "TOKEN",
    "store": "ADDRESS",
    "log_level": "LEVEL",
    "retry_schedule_s": "S,S,...",
    "enabled_events": "TYPE,...",
    "allow_hosts": "HOST,...",
    "deny_hosts": "HOST,...",
    "dns_over_https": "URL",
}
_UNITS = {"_ms": "MS", "_s": "SECONDS", "_days": "DAYS"}


def flags_of(setting: Setting) -> list[str]:
    """Return the flags of a setting; the first is the one to show."""
    long = "--" + setting.name.removeprefix(PREFIX).lower().replace("_", "-")
    return ["--token", long] if setting.field == "api_token" else [long]


def with_settings(
    *only: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose first parameter is ``settings``.

    It gets a flag for each of the settings' fields that ``only`` names, for all when it names none.
    """
    chosen = [
        s for s in SETTINGS.values() if s.field not in NO_FLAG and (not only or s.field in only)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**given: Any) -> None:  # noqa: ANN401 - typer passes what the signature says
            flags = {s.name: given.pop(s.field) for s in chosen}
            settings = _read(flags)
            if not only:
                # A server's command line stands there for as long as it runs.
                _warn_of_secrets(settings, flags)
            for sentence in settings.warnings:
                warn(sentence)
            command(settings, **given)

        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        parameters = [*_own_parameters(command), *map(_parameter, chosen)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # of any function
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _own_parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    hints = get_type_hints(command, include_extras=True)
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    return [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]


def _parameter(setting: Setting) -> inspect.Parameter:
    default = getattr(WebhookConfig() if setting.of_config else Settings(), setting.field)
    is_switch = isinstance(default, bool) and setting.field != "jitter"
    flags = flags_of(setting)
    if is_switch and default:
        flags = [f"{flag}/--no-{flag.removeprefix('--')}" for flag in flags]
    shown = "" if default in (None, ()) or is_switch else f" Default: {default}"
    option = typer.Option(
        *flags,
        help=setting.sentence + shown,
        metavar=None if is_switch else _metavar(setting.field),
        show_default=False,
    )
    kind = bool if is_switch else str
    return inspect.Parameter(
        setting.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _metavar(field: str) -> str:
    unit = next((word for end, word in _UNITS.items() if field.endswith(end)), "VALUE")
    return _METAVARS.get(field, unit)


def _read(flags: dict[str, str | bool | None]) -> Settings:
    given = {name: _text(value) for name, value in flags.items() if value is not None}
    try:
        return read_settings({**os.environ, **given})
    except ConfigError as error:
        fail(_in_flags(error.message, given), ExitCode.USAGE)


def _warn_of_secrets(settings: Settings, flags: dict[str, str | bool | None]) -> None:
    database = settings.store.database
    for name, value in flags.items():
        field = SETTINGS[name].field
        has_password = field == "store" and database is not None and database.has_password
        if value is not None and (field in SECRET or has_password):
            flag = flags_of(SETTINGS[name])[0]
            warn(f"{flag}: others on this machine can read a command line; set {name} instead.")


def _text(value: str | bool) -> str:  # noqa: FBT001 - a switch is a value here
    return str(value).lower() if isinstance(value, bool) else value


def _in_flags(message: str, given: Container[str]) -> str:
    """Name the flag where the value came from one."""
    return re.sub(
        r"WEBHOOK_\w+",
        lambda found: flags_of(SETTINGS[found[0]])[0] if found[0] in given else found[0],
        message,
    )
