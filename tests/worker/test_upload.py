"""What a deployment uploads: nothing but the service, small, and fit for Cloudflare's snapshot."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import scratch_folder
from tests.worker.harness import Api, project
from tools import ROOT
from tools.dev_worker import DevWorker
from tools.dry_run import DryRun, dry_run
from tools.snapshot import check_snapshot

GZIP_KIB_MAX = 700
ENTRY = ROOT / "src" / "entry.py"
SERVICE_AT_THE_TOP = """
from workers import Response, WorkerEntrypoint

from webhook import WebhookConfig, WebhookEvent, WebhookRuntimeService

service = WebhookRuntimeService(WebhookConfig())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        accepted = await service.emit(WebhookEvent(type="message.sent", data=1))
        return Response(accepted.id)
"""


@pytest.fixture(scope="module")
def upload() -> Iterator[DryRun]:
    """What ``wrangler deploy --dry-run`` would upload."""
    with scratch_folder() as folder:
        yield dry_run(folder / "upload")


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """The configuration that is deployed."""
    return tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))


def test_the_upload_is_at_most_700_kib_compressed(upload: DryRun) -> None:
    print(f"upload: {upload.gzip_kib:.0f} KiB compressed, {upload.total_kib:.0f} KiB in all")
    assert 100 < upload.gzip_kib <= GZIP_KIB_MAX


def test_the_upload_is_the_service_and_its_packages_and_nothing_else(upload: DryRun) -> None:
    source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    own = {name for name in upload.files if not name.startswith("python_modules/")}
    assert own == source
    vendored = {name.split("/")[1] for name in upload.files if name not in own}
    assert {"msgspec", "starlette", "workers"} <= vendored
    assert (
        not {"pytest", "_pytest", "tests", "tools", "benchmarks", "aiohttp", "uvicorn"} & vendored
    )
    assert [name for name in upload.files if name.endswith((".pyc", ".toml", ".env"))] == []


def test_a_snapshot_of_the_worker_can_be_saved_and_loaded(scratch: Path) -> None:
    snapshot = check_snapshot(scratch / "snapshot")
    print(
        f"snapshot: {snapshot.size_mib:.0f} MiB, first answer after {snapshot.warm_seconds:.2f} s "
        f"instead of {snapshot.cold_seconds:.2f} s"
    )
    assert snapshot.size_mib > 1


def test_a_service_may_be_built_at_the_top_of_a_worker_s_module(scratch: Path) -> None:
    # While a Worker starts, chance raises and the clock stands still; the snapshot comes after.
    config = project(scratch / "project")
    (config.parent / "src" / "entry.py").write_text(SERVICE_AT_THE_TOP, "utf-8")
    assert check_snapshot(scratch / "snapshot", config).size_mib > 1
    with DevWorker(
        state_dir=scratch / "state", config=config, migrate=False, ready_path="/"
    ) as worker:
        ids = [Api(worker).send("GET", "/").text for _ in range(2)]
    assert all(re.fullmatch(r"evt_[0-9a-z]{26}", one) for one in ids)
    assert ids[0] != ids[1]


# --- wrangler.toml and the code name the same things ---------------------------------------------


def test_the_database_is_bound_as_the_code_asks_for_it(settings: dict[str, Any]) -> None:
    [database] = settings["d1_databases"]
    assert database["binding"] == "DB"
    assert (ROOT / database["migrations_dir"] / "0001_initial.sql").exists()


def test_one_queue_is_bound_and_consumed_and_its_messages_have_no_other_end(
    settings: dict[str, Any],
) -> None:
    [producer] = settings["queues"]["producers"]
    [consumer] = settings["queues"]["consumers"]
    assert producer["binding"] == "QUEUE"
    assert producer["queue"] == consumer["queue"]
    assert "dead_letter_queue" not in consumer


def test_the_bindings_that_the_code_asks_for_are_those_of_wrangler_toml() -> None:
    text = (ROOT / "src" / "webhook" / "worker" / "handlers.py").read_text("utf-8")
    asked = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "env"
    } | {
        node.args[1].value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "getattr"
        and isinstance(node.args[1], ast.Constant)
    }
    assert asked == {"DB", "QUEUE"}


def test_the_cron_fires_every_minute(settings: dict[str, Any]) -> None:
    assert settings["triggers"]["crons"] == ["* * * * *"]


def test_the_runtime_is_python_314_and_fetch_reaches_the_public_internet_only(
    settings: dict[str, Any],
) -> None:
    assert settings["compatibility_date"] >= "2026-09-08"
    assert settings["compatibility_flags"] == ["python_workers", "global_fetch_strictly_public"]


def test_the_worker_is_observed(settings: dict[str, Any]) -> None:
    assert settings["observability"] == {"enabled": True}


def test_no_secret_stands_in_the_configuration(settings: dict[str, Any]) -> None:
    assert "vars" not in settings


# --- entry.py ------------------------------------------------------------------------------------


def methods() -> dict[str, ast.AsyncFunctionDef]:
    """Return the methods of entry.py as ``Class.name``; all of them are ``async def``."""
    found = {}
    for node in ast.parse(ENTRY.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.AsyncFunctionDef):
                    found[f"{node.name}.{member.name}"] = member
    return found


def test_the_entry_is_under_a_hundred_lines_and_wiring_only() -> None:
    text = ENTRY.read_text("utf-8")
    assert len(text.splitlines()) < 100
    for name, method in methods().items():
        statements = [one for one in method.body if not _is_docstring(one)]
        assert len(statements) == 1, f"{name} does more than call one function"
        assert not any(
            isinstance(node, ast.If | ast.For | ast.While | ast.Try) for node in ast.walk(method)
        ), f"{name} decides something"


def test_queue_and_scheduled_take_what_the_platform_passes() -> None:
    for name, first in (("Default.queue", "batch"), ("Default.scheduled", "controller")):
        arguments = methods()[name].args
        assert [argument.arg for argument in arguments.args] == ["self", first, "env", "ctx"]
        # Calling them with three arguments or with one is right, then.
        assert len(arguments.defaults) == 2


def test_the_entrypoints_export_exactly_these_names() -> None:
    public = {name for name in methods() if not name.split(".")[1].startswith("_")}
    assert public == {
        "Default.fetch",
        "Default.queue",
        "Default.scheduled",
        "Rpc.emit",
        "Rpc.emit_many",
        "Rpc.get_delivery",
        "Rpc.get_event",
        "Rpc.list_deliveries",
        "Rpc.list_endpoints",
    }
    classes = [
        node.name
        for node in ast.parse(ENTRY.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert classes == ["Default", "Rpc"]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
