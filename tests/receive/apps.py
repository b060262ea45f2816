"""One application for each framework, with a signed route and a ``Receiver``, and its real server.

Each is a context manager that gives the address where it listens. ``/signed`` verifies only,
``/receiver`` drops what was handled before; both hand the event to the same ``Handler``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import wsgiref.simple_server
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import aiohttp.web
import fastapi
import flask
import uvicorn
import werkzeug.serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

import webhook.receive.aiohttp
import webhook.receive.fastapi
import webhook.receive.flask
import webhook.receive.starlette
from tests.receive import django_project
from webhook.receive import Event, Gone, Receiver, Verifier
from webhook.receive.testing import WebhookSender

HOST = "127.0.0.1"


@dataclass
class Handler:
    """Handles events as their data say: {"fail": n} raises n times, {"gone": true} raises Gone."""

    sender: WebhookSender = field(default_factory=WebhookSender)
    handled: list[Event[Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def __call__(self, event: Event[Any]) -> None:
        self.calls[event.id] += 1
        if event.data.get("gone"):
            raise Gone
        if self.calls[event.id] <= event.data.get("fail", 0):
            raise RuntimeError("planted")
        self.handled.append(event)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.sender.secret)

    def receiver(self) -> Receiver:
        receiver = Receiver(self.verifier)
        receiver.on("*")(self)
        return receiver


@contextmanager
def uvicorn_of(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, HOST, 0, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    started, threads = threading.Event(), []

    async def serve() -> None:
        await server.startup()
        started.set()
        await server.main_loop()
        await server.shutdown()

    def run() -> None:
        config.load()
        server.lifespan = config.lifespan_class(config)
        asyncio.run(serve())

    threads.append(threading.Thread(target=run))
    threads[0].start()
    assert started.wait(30)
    try:
        yield f"http://{HOST}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        threads[0].join(30)


@contextmanager
def in_thread(server: Any) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


@contextmanager
def starlette_app(handler: Handler) -> Iterator[str]:
    app = Starlette()

    async def hook(request: Request) -> Response:
        handler(await webhook.receive.starlette.event(request, handler.verifier))
        return Response(status_code=204)

    app.add_route("/signed", hook, ["POST"])
    app.add_route("/receiver", webhook.receive.starlette.view(handler.receiver()), ["POST"])
    with uvicorn_of(app) as url:
        yield url


@contextmanager
def fastapi_app(handler: Handler) -> Iterator[str]:
    app = fastapi.FastAPI()
    signed = fastapi.Depends(webhook.receive.fastapi.Signed(handler.verifier))

    def hook(event: Any) -> None:
        handler(event)

    hook.__annotations__ = {"event": Annotated[Event[dict[str, Any]], signed], "return": None}
    app.post("/signed", status_code=204)(hook)
    app.add_route("/receiver", webhook.receive.fastapi.view(handler.receiver()), ["POST"])
    with uvicorn_of(app) as url:
        yield url


@contextmanager
def asgi_app(handler: Handler) -> Iterator[str]:
    with uvicorn_of(handler.receiver().asgi) as url:
        yield url


@contextmanager
def flask_app(handler: Handler) -> Iterator[str]:
    app = flask.Flask(__name__)

    @app.post("/signed")
    @webhook.receive.flask.signed(handler.verifier)
    def hook(event: Event[Any]) -> None:
        handler(event)

    view = webhook.receive.flask.view(handler.receiver())
    app.add_url_rule("/receiver", view_func=view, methods=["POST"])
    with in_thread(werkzeug.serving.make_server(HOST, 0, app, threaded=True)) as url:
        yield url


@contextmanager
def wsgi_app(handler: Handler) -> Iterator[str]:
    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with in_thread(
        wsgiref.simple_server.make_server(HOST, 0, handler.receiver().wsgi, handler_class=Quiet)
    ) as url:
        yield url


@contextmanager
def werkzeug_app(handler: Handler) -> Iterator[str]:
    app = handler.receiver().wsgi
    with in_thread(werkzeug.serving.make_server(HOST, 0, app, threaded=True)) as url:
        yield url


@contextmanager
def django_app(handler: Handler) -> Iterator[str]:
    """Django under its own server; the views are looked up as they are asked for."""
    django_project.configure()
    from django.core.servers import basehttp  # noqa: PLC0415 - needs settings
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - as above

    with django_project.routes_to(handler.verifier, handler.receiver(), handler):
        server = basehttp.ThreadedWSGIServer((HOST, 0), basehttp.WSGIRequestHandler)
        server.set_app(get_wsgi_application())
        with in_thread(server) as url:
            yield url


@contextmanager
def django_async_app(handler: Handler) -> Iterator[str]:
    """Django under uvicorn, with a coroutine function as its signed view."""
    django_project.configure()
    from django.core.asgi import get_asgi_application  # noqa: PLC0415 - needs settings

    async def handle(event: Event[Any]) -> None:
        await asyncio.sleep(0)
        handler(event)

    with (
        django_project.routes_to(handler.verifier, handler.receiver(), handle),
        uvicorn_of(get_asgi_application()) as url,
    ):
        yield url


@contextmanager
def aiohttp_app(handler: Handler) -> Iterator[str]:
    app = aiohttp.web.Application()

    async def hook(request: aiohttp.web.Request) -> aiohttp.web.Response:
        handler(await webhook.receive.aiohttp.event(request, handler.verifier))
        return aiohttp.web.Response(status=204)

    app.router.add_post("/signed", hook)
    app.router.add_post("/receiver", webhook.receive.aiohttp.view(handler.receiver()))
    loop, started, ports = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, HOST, 0).start()
        ports.append(runner.addresses[0][1])
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await runner.cleanup()

    task = loop.create_task(serve())
    thread = threading.Thread(target=loop.run_until_complete, args=(task,))
    thread.start()
    assert started.wait(30)
    try:
        yield f"http://{HOST}:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        loop.close()


APPS: dict[str, Callable[[Handler], contextlib.AbstractContextManager[str]]] = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "asgi": asgi_app,
    "flask": flask_app,
    "wsgi": wsgi_app,
    "werkzeug": werkzeug_app,
    "django": django_app,
    "django-async": django_async_app,
    "aiohttp": aiohttp_app,
}
