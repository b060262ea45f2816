"""``webhook tokens``: makes, lists and revokes API tokens, on the store itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer

from webhook.cli.flags import with_settings
from webhook.cli.stores import access_of, operate
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.domain.access import Scope
from webhook.domain.event import rfc3339
from webhook.engine.access import Access
from webhook.ports import TokenQuery, WebhookPersistence
from webhook.settings import Settings, StoreAddress

tokens = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make, list and revoke API tokens, on the store itself.\n\n"
    "Example: webhook tokens create shop --scope emit",
)
_PAGE = 250
_Scopes = Annotated[
    list[Scope], typer.Option("--scope", help="What it may do; give it several times.")
]
_Tenant = Annotated[str | None, typer.Option("--tenant", help="Bind it to this tenant.")]
_Expires = Annotated[
    str | None, typer.Option("--expires", help="When it ends, as 2027-01-31T12:00:00Z.")
]


def create(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(help="For people: who uses it, and for what.")],
    scope: _Scopes,
    tenant: _Tenant = None,
    expires: _Expires = None,
) -> None:
    """Make a token and print it, alone on a line; nothing shows it again.

    Example: webhook tokens create shop --scope emit --scope read --tenant acme
    """
    expires_at = None if expires is None else _epoch_ms(expires)

    async def make(access: Access) -> str:
        _, text = await access.create_token(name, scope, tenant=tenant, expires_at=expires_at)
        return text

    stdout().print(_run(settings.store, make))


def list_all(settings: Settings) -> None:
    """Print the tokens there are, one a line: id, scopes, tenant, end, last use, name.

    Example: webhook tokens list
    """

    async def read(access: Access) -> list[str]:
        lines: list[str] = []
        after: str | None = None
        while True:
            page = await access.list_tokens(TokenQuery(limit=_PAGE, after=after))
            lines += [
                "  ".join(
                    (
                        token.id,
                        ",".join(token.scopes),
                        token.tenant or "-",
                        _time(token.expires_at),
                        _time(token.last_used_at),
                        token.name,
                    )
                )
                for token in page.items
            ]
            after = page.after
            if after is None:
                return lines

    for line in _run(settings.store, read):
        stdout().print(line)


def revoke(
    settings: Settings,
    *,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it.")],
) -> None:
    """Revoke a token; servers that run notice within 10 seconds.

    Example: webhook tokens revoke tok_01kav9ft0049jvk1h1090508xx
    """
    _run(settings.store, lambda access: access.revoke_token(token_id))
    stdout().print(f"{token_id} is revoked.")


def _run[T](address: StoreAddress, work: Callable[[Access], Awaitable[T]]) -> T:
    async def do(persistence: WebhookPersistence) -> T:
        return await work(access_of(persistence))

    return operate(address, do, instead="POST /v1/tokens")


def _epoch_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        sentence = f"--expires: {text!r} is no time. Give one such as 2027-01-31T12:00:00Z."
        fail(sentence, ExitCode.USAGE)
    return round(at.timestamp() * 1000)


def _time(at_ms: int | None) -> str:
    return "-" if at_ms is None else rfc3339(at_ms)


for _name, _command in (("create", create), ("list", list_all), ("revoke", revoke)):
    tokens.command(_name)(with_settings("store")(_command))
