"""Commands that talk to a running service: where it is, how they print, and how they end."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NoReturn, get_type_hints

import msgspec
import typer

from webhook.cli.flags import with_settings
from webhook.cli.listing import Row, print_rows
from webhook.cli.terminal import ExitCode, complain, fail, stderr, stdout
from webhook.cli.tokens import read_token, token_file
from webhook.client import (
    ApiError,
    BadAnswer,
    Client,
    NotFound,
    Page,
    Request,
    Unauthorized,
    Unreachable,
)
from webhook.client.loopback import is_loopback
from webhook.settings import Settings

# A person waits: a service that is not there is told soon.
_RETRIES = 2

Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="TENANT", help="Whose it is. Default: default")
]
AnyTenant = Annotated[
    str | None, typer.Option("--tenant", metavar="TENANT", help="Whose it must be.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=250, help="How many at most.")]
Cursor = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on where a list ended.")
]
_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="WEBHOOK_URL",
        metavar="URL",
        help="Where the service is. Default: http://127.0.0.1 with the port of WEBHOOK_PORT",
        show_envvar=True,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class Service:
    """A service, as a command sees it: what fails ends the command with a sentence."""

    def __init__(self, settings: Settings, url: str, token: str | None, *, as_json: bool) -> None:
        self.settings = settings
        self.url = url.rstrip("/")
        self.as_json = as_json
        self._has_token = token is not None
        try:
            self.client = Client(self.url, token, retries=_RETRIES)
        except ValueError as error:
            fail(str(error), ExitCode.USAGE)

    def call[T](self, request: Request[T]) -> T:
        """Return a request's result."""
        try:
            return self.client.call(request)
        except Unreachable as error:
            fail(
                f"No service answers at {self.url} ({error.message}). Is it running? `webhook "
                "serve` starts it; --url or WEBHOOK_URL says where it is.",
                ExitCode.UNREACHABLE,
            )
        except BadAnswer as error:
            fail(error.message)
        except ApiError as error:
            _refused(error, has_token=self._has_token)

    def show[T](self, request: Request[T], tell: Callable[[T], None]) -> T | None:
        """Make a call and print its answer: as JSON to the letter, or as ``tell`` does."""
        if self.as_json:
            self.print_json(request)
            return None
        result = self.call(request)
        tell(result)
        return result

    def print_json(self, request: Request[Any]) -> None:
        """Make a call and print its answer as it came."""
        if request.answer is None:
            self.call(request)
            print("{}")
        else:
            print(bytes(self.call(raw(request))).decode())

    def list[T](self, request: Request[Page[T]], row: Callable[[T], Row], none: str) -> None:
        """Print one page of a list, a line for each item; ``none`` is said when there is none."""
        if self.as_json:
            self.print_json(request)
            return
        pages = self._pages(request)
        # A page may be empty, and the next one not.
        page = next(page for page in pages if page.data or page.next_cursor is None)
        print_rows([row(item) for item in page.data])
        if not page.data:
            stderr().print(none)
        if page.next_cursor is not None:
            stderr().print(f"There are more: --cursor {page.next_cursor}", style="dim")

    def items[T](self, request: Request[Page[T]]) -> Iterator[T]:
        """Return all items of a list, page by page."""
        for page in self._pages(request):
            yield from page.data

    def _pages[T](self, first: Request[Page[T]]) -> Iterator[Page[T]]:
        request = first
        while True:
            page = self.call(request)
            yield page
            if page.next_cursor is None:
                return
            request = first.next_page(page.next_cursor)


def raw(request: Request[Any]) -> Request[msgspec.Raw]:
    """Return the same request for its answer as it comes."""
    return dataclasses.replace(request, answer=msgspec.Raw, then=lambda answer: answer)


def service_of(settings: Settings, url: str | None, *, as_json: bool) -> Service:
    """Return the service that is meant; on this machine its own token is taken."""
    url = url or f"http://127.0.0.1:{settings.port}"
    token = settings.api_token
    if token is None and is_loopback(url):
        token = read_token(token_file(settings.store))
    return Service(settings, url, token, as_json=as_json)


def remote(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function whose first parameter is ``service``; adds the flags for it."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name])
        for p in inspect.signature(command).parameters.values()
        if p.name != "service"
    ]
    ours = {"url": (_Url, None), "as_json": (_Json, False)}

    def run(settings: Settings, url: str | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401, FBT001 - typer passes what the signature says
        command(service_of(settings, url, as_json=as_json), **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("settings", keyword, annotation=Settings),
        *own,
        *(
            inspect.Parameter(name, keyword, default=default, annotation=kind)
            for name, (kind, default) in ours.items()
        ),
    ]
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_settings("api_token", "store")(run)


def group(name: str, sentence: str, example: str) -> typer.Typer:
    """Make a command that has commands below it."""
    return typer.Typer(
        name=name,
        no_args_is_help=True,
        rich_markup_mode=None,
        help=f"{sentence}\n\nExample: webhook {example}",
    )


def add(app: typer.Typer, commands: Iterable[tuple[str, Callable[..., None]]]) -> None:
    """Add commands that talk to a service, in this order."""
    for name, command in commands:
        app.command(name)(remote(command))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that is not easily undone; end the command on no."""
    if yes:
        return
    if not stdout().is_terminal:
        fail(f"{question} Give --yes to do it.", ExitCode.USAGE)
    typer.confirm(question, abort=True)


def told(sentence: str) -> Callable[[Any], None]:
    """Return what says a sentence, whatever the answer."""
    return lambda _: stdout().print(sentence)


def _refused(error: ApiError, *, has_token: bool) -> NoReturn:
    """Print a problem document: its sentence, then a line for each field."""
    complain(error.detail)
    lines = [f"{field.pointer or 'The document'}: {field.detail}" for field in error.errors]
    for line in lines if lines != [error.detail] else ():
        stderr().print(f"  {line}")
    if isinstance(error, Unauthorized) and not has_token:
        stderr().print("  Give the token that the service printed: --token or WEBHOOK_API_TOKEN.")
    raise typer.Exit(ExitCode.NOT_FOUND if isinstance(error, NotFound) else ExitCode.FAILED)
