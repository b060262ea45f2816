"""The Worker that runs pytest inside itself: what ``worker_tests.py`` deploys as entry.py.

It runs in workerd, never on a developer's Python. Its name must not look like a test's, or
pytest would import the running entry module a second time.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pyodide.ffi import run_sync
from workers import Request, Response, WorkerEntrypoint

if TYPE_CHECKING:
    import pytest

WORKER_FILES = "/session/metadata"
"""Where workerd mounts the uploaded files; it is on the module search path."""


class AsyncTests:
    """A pytest plugin: coroutines as tests and fixtures, on the event loop of the request.

    pytest itself is synchronous; ``run_sync`` suspends its whole call stack until the coroutine
    is done, while workerd goes on.
    """

    def __init__(self) -> None:
        self.results: dict[str, dict[str, str]] = {}

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a test that is a coroutine function; leave any other to pytest."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - pytest offers no other way
        run_sync(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
        return True

    def pytest_fixture_setup(self, fixturedef: Any) -> None:  # noqa: ANN401 - JavaScript's - pytest keeps it private
        """Turn an asynchronous fixture into the plain one that pytest knows how to run."""
        function = fixturedef.func
        if inspect.isasyncgenfunction(function):
            fixturedef.func = _plain_generator(function)
        elif inspect.iscoroutinefunction(function):
            fixturedef.func = lambda *args, **kwargs: run_sync(function(*args, **kwargs))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected as a failure of its own."""
        if report.failed:
            self._keep(report.nodeid, "failed", report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep one outcome for each test: the worst of setup, call and teardown."""
        if report.failed:
            before = self.results.get(report.nodeid, {})
            text = before.get("longrepr", "") + f"[{report.when}]\n{report.longreprtext}\n"
            for name, section in report.sections:
                text += f"--- {name}\n{section}\n"
            self._keep(report.nodeid, "failed", text)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self._keep(report.nodeid, "skipped", reason)
        elif report.when == "call":
            self._keep(report.nodeid, "passed", report.capstdout)

    def _keep(self, nodeid: str, outcome: str, longrepr: str) -> None:
        self.results[nodeid] = {"nodeid": nodeid, "outcome": outcome, "longrepr": longrepr}


def _plain_generator(function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def fixture(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401 - JavaScript's - any fixture's
        generator = function(*args, **kwargs)
        yield run_sync(anext(generator))
        with contextlib.suppress(StopAsyncIteration):
            run_sync(anext(generator))

    # pytest has already read the names of the fixture's own fixtures from its signature.
    return fixture


class Default(WorkerEntrypoint):
    """Runs pytest with the arguments that are posted to it."""

    async def fetch(self, request: Request) -> Response:
        """Answer a POST with the outcome of each test; a GET only says that Python runs."""
        if request.method != "POST":
            return Response("ready")
        job = await request.json()
        os.environ.update(job["environ"])
        sys.dont_write_bytecode = True  # the uploaded files are read-only
        # At the top level it would be part of the startup, where it may use no entropy.
        import pytest  # noqa: PLC0415 - as said

        plugin = AsyncTests()
        output = io.StringIO()
        options = ["--rootdir", WORKER_FILES, "-p", "no:cacheprovider", "-p", "no:faulthandler"]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = pytest.main([*options, *job["arguments"]], plugins=[plugin])
        answer = {
            "status": int(status),
            "results": list(plugin.results.values()),
            "output": output.getvalue(),
        }
        return Response(json.dumps(answer), headers={"content-type": "application/json"})

    async def queue(self, batch: Any, _env: object = None, _ctx: object = None) -> None:  # noqa: ANN401 - JavaScript's
        """Take the messages that tests send; that they were sent is all there is to see here."""
        batch.ackAll()
