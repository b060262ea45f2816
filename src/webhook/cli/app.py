"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from webhook.cli import keys
from webhook.cli.access import tokens
from webhook.cli.emit import emit
from webhook.cli.flags import with_settings
from webhook.cli.migrate import migrate
from webhook.cli.serve import serve
from webhook.cli.switch import pause, resume

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
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

    Example: webhook serve
    """


app.command()(with_settings()(serve))
app.command()(with_settings("api_token", "store")(emit))
app.command()(with_settings("store")(migrate))
app.command()(with_settings("store")(pause))
app.command()(with_settings("store")(resume))
app.add_typer(tokens, name="tokens")
keys_app = typer.Typer(
    no_args_is_help=True,
    help="""The keys that encrypt secrets at rest.

    Example: webhook keys create
    """,
)
keys_app.command()(keys.create)
keys_app.command()(with_settings("store")(keys.rotate))
app.add_typer(keys_app, name="keys")
