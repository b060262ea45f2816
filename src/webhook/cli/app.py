"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from webhook.cli import deliveries, endpoints, events, keys, recoveries
from webhook.cli.access import tokens
from webhook.cli.audit import audit
from webhook.cli.doctor import doctor
from webhook.cli.emit import emit
from webhook.cli.flags import with_settings
from webhook.cli.importing import kmsg
from webhook.cli.init import init
from webhook.cli.migrate import migrate
from webhook.cli.receive import receive
from webhook.cli.remote import remote
from webhook.cli.serve import serve
from webhook.cli.switch import pause, resume
from webhook.cli.tenants import tenants

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes it so
    if wanted:
        print(f"webhook {version('webhook')}")
        raise typer.Exit


@app.callback()
def webhook(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Signed, retried webhook delivery.

    Commands end with 0 if all is well, 1 if not, 2 if used wrongly, 3 if no service answers, 4 if
    there is nothing of that name. --json prints what the service answered, for programs. Colours
    are for terminals alone, and off with NO_COLOR.

    Example: webhook serve
    """


app.command()(with_settings()(serve))
app.command()(remote(emit))
app.command()(remote(receive))
app.command()(init)
app.command()(remote(doctor))
app.command()(with_settings("store")(migrate))
app.command()(with_settings("store")(pause))
app.command()(with_settings("store")(resume))
app.add_typer(events.app)
app.add_typer(endpoints.app)
app.add_typer(deliveries.app)
app.command()(remote(recoveries.replay))
app.add_typer(recoveries.app)
app.command()(remote(audit))
app.add_typer(tokens, name="tokens")
app.add_typer(tenants, name="tenants")
keys_app = typer.Typer(
    no_args_is_help=True,
    help="""The keys that encrypt secrets at rest.

    Example: webhook keys create
    """,
)
keys_app.command()(keys.create)
keys_app.command()(with_settings("store")(keys.rotate))
app.add_typer(keys_app, name="keys")
import_app = typer.Typer(
    no_args_is_help=True,
    help="""Take over what another program has kept.

    Example: webhook import k-msg export.sql
    """,
)


@import_app.callback()
def _import() -> None:
    """Keep a group of one command a group."""


import_app.command("k-msg")(with_settings("store", "scheme")(kmsg))
app.add_typer(import_app, name="import")
