"""Run Python tests inside the real workerd, where ``env.DB`` is a real D1 database.

The tests are ordinary pytest files; ``async def`` tests and fixtures need no marker. A throw-away
Worker carries them together with ``src/webhook`` and pytest, runs them in one request, and tells
the outcome of each, so that the host's pytest can show every inner test as one of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tools import CACHE, ROOT
from tools.toolchain import ToolError, locked
from tools.vendor import ensure_python_modules, vendor
from tools.worker_process import HOST, DevWorker, WorkerError

TEST_LOCK_FILE = ROOT / "requirements" / "pyodide-test.txt"
TEST_MODULES = CACHE / "pytest-modules"
_GROUP = re.compile(r"(?<=[\w\]])@\w+$")
ENTRY = Path(__file__).with_name("worker_tests_entry.py")

DEFAULT_ARGUMENTS = ("-q", "--import-mode=importlib", "-o", "consider_namespace_packages=true")
"""How pytest is run inside; ``pyproject.toml`` does not reach the Worker."""


@dataclass(frozen=True)
class InnerResult:
    """How one test inside the Worker ended."""

    nodeid: str
    """As on the host, relative to the repository: ``tests/contract/test_x.py::test_y[d1]``."""
    outcome: str
    """``passed``, ``failed`` or ``skipped``."""
    longrepr: str
    """The traceback of a failure, the reason of a skip, or what a test that passed printed."""


def run_pytest_in_worker(
    paths: Sequence[Path],
    *,
    carried: Sequence[Path] = (),
    arguments: Sequence[str] = DEFAULT_ARGUMENTS,
    environ: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> list[InnerResult]:
    """Run the tests in *paths* (files or folders of this repository) inside workerd.

    *carried* are further files or folders that the tests import or read; nothing else of the
    repository is there but ``src/webhook``, and so no conftest of a folder above. *environ* is
    added to ``os.environ`` in there, so that a conftest can tell where it runs. The database has
    all migrations applied and is empty otherwise. Raises :class:`ToolError` when the run as a
    whole went wrong; a failing test is only a result.
    """
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="worker-tests-", dir=CACHE) as scratch:
        project = Path(scratch)
        lay_out(project, [*paths, *carried])
        worker = DevWorker(
            state_dir=project / "state", config=project / "wrangler.toml", ready_path="/"
        )
        inner = [str(path.resolve().relative_to(ROOT)) for path in paths]
        with worker:
            job = {
                "arguments": [*arguments, *(f"/session/metadata/{path}" for path in inner)],
                "environ": dict(environ or {}),
            }
            return _run(worker, json.dumps(job), timeout)


class MirroredTests:
    """The inner tests of some paths, run once when the first outcome is asked for.

    Let the host collect the same files; for each test that belongs into workerd, call
    :meth:`settle` in place of the test function.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        carried: Sequence[Path] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._run = partial(run_pytest_in_worker, paths, carried=carried, environ=environ)
        self._results: dict[str, InnerResult] | None = None

    def settle(self, nodeid: str) -> None:
        """Pass, fail or skip the host's current test as the inner test *nodeid* did.

        Where tests run in several processes, pytest-xdist puts a test's group behind its name.
        """
        import pytest  # noqa: PLC0415 - only the tests have it, not this module's command line

        nodeid = _GROUP.sub("", nodeid)
        if self._results is None:
            # Should the run go wrong as a whole, the first test says so and the rest are missing.
            self._results = {}
            self._results = {result.nodeid: result for result in self._run()}
        result = self._results.get(nodeid)
        if result is None:
            broken = [r.longrepr for r in self._results.values() if "::" not in r.nodeid]
            pytest.fail(f"{nodeid} did not run inside workerd\n" + "\n".join(broken), pytrace=False)
        if result.outcome == "failed":
            pytest.fail(f"inside workerd:\n{result.longrepr}", pytrace=False)
        if result.outcome == "skipped":
            pytest.skip(result.longrepr)
        print(result.longrepr, end="")


def lay_out(project: Path, paths: Sequence[Path]) -> None:
    """Make the throw-away Worker in folder *project*: configuration, code, packages, tests."""
    (project / "wrangler.toml").write_text(_config(), "utf-8")
    source = project / "src"
    _copy(ROOT / "src" / "webhook", source / "webhook")
    _copy(ROOT / "migrations", project / "migrations")
    shutil.copyfile(ENTRY, source / "entry.py")
    for path in paths:
        _copy(path, source / path.resolve().relative_to(ROOT))
    vendor(TEST_LOCK_FILE, TEST_MODULES)
    for modules in (ensure_python_modules(), TEST_MODULES):
        with locked("vendor"):
            _copy(modules, project / "python_modules")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignore = shutil.ignore_patterns("__pycache__", ".vendored-from")
        shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _config() -> str:
    """Write the test Worker's configuration: the released one's runtime, database and queue."""
    settings = tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))
    lines = ['name = "webhook-tests"', 'main = "src/entry.py"']
    # Numbers, texts and lists of texts are written alike in JSON and in TOML.
    kept = ("compatibility_date", "compatibility_flags")
    lines += [f"{key} = {json.dumps(settings[key])}" for key in kept]
    tables = [("d1_databases", table) for table in settings["d1_databases"]]
    for kind in ("producers", "consumers"):
        tables += [(f"queues.{kind}", table) for table in settings["queues"][kind]]
    for name, table in tables:
        lines.append(f"[[{name}]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    # Python and plain text are uploaded anyway; some tests carry the README.
    lines += ["[[rules]]", 'type = "Text"', 'globs = ["**/*.md"]', "fallthrough = true"]
    return "\n".join(lines) + "\n"


def _run(worker: DevWorker, job: str, timeout: float) -> list[InnerResult]:
    connection = HTTPConnection(HOST, worker.port, timeout=timeout)
    with closing(connection):
        try:
            connection.request("POST", "/", job, {"content-type": "application/json"})
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            raise WorkerError(
                f"no answer from the test Worker: {error!r}\n{worker.log_tail()}"
            ) from error
    if response.status != HTTPStatus.OK:
        raise WorkerError(f"the test Worker failed:\n{body}\n{worker.log_tail()}")
    answer = json.loads(body)
    results = [InnerResult(**result) for result in answer["results"]]
    # pytest's statuses: 0 all passed, 1 some failed; anything else is not about a test.
    if answer["status"] not in (0, 1) and not any(r.outcome == "failed" for r in results):
        raise ToolError(f"pytest inside the Worker gave {answer['status']}:\n{answer['output']}")
    return results


def main() -> int:
    """Run the tests named on the command line and print their outcomes."""
    parser = argparse.ArgumentParser(description="Run tests inside the real workerd.")
    parser.add_argument("paths", nargs="+", type=Path, help="files or folders with tests")
    options = parser.parse_args()
    environ = {n: v for n, v in os.environ.items() if n.startswith("WEBHOOK_TEST_")}
    try:
        results = run_pytest_in_worker(options.paths, environ=environ)
    except ToolError as error:
        print(f"worker_tests: {error}", file=sys.stderr)
        return 1
    for result in results:
        print(result.outcome, result.nodeid)
        if result.outcome == "failed":
            print(result.longrepr)
    failed = sum(result.outcome == "failed" for result in results)
    print(f"{len(results) - failed} passed or skipped, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
