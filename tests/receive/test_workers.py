"""The glue of Python Workers, in the real workerd with a real KV, and without an engine."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receive.refused import EVENT, REFUSED, Request
from tests.receive.vectors import VECTORS, body_of
from tests.worker.harness import until
from tools import CACHE, ROOT
from tools.dev_worker import DevWorker
from tools.vendor import ensure_python_modules
from webhook.receive.body import BODY_BYTES_MAX
from webhook.receive.testing import WebhookSender, post

PACKAGE = ROOT / "src" / "webhook"
SENDER = WebhookSender()


def lay_out(project: Path) -> Path:
    """Make a Worker of the receivers' package, the SDK and nothing else; return its settings."""
    source = project / "src"
    shutil.copytree(PACKAGE / "receive", source / "webhook" / "receive")
    for name in ("__init__.py", "standard_webhooks.py"):
        shutil.copyfile(PACKAGE / name, source / "webhook" / name)
    shutil.copyfile(Path(__file__).with_name("worker_entry.py"), source / "entry.py")
    shutil.copytree(ensure_python_modules() / "workers", project / "python_modules" / "workers")
    released = tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))
    config = project / "wrangler.toml"
    config.write_text(
        'name = "webhook-receive-tests"\nmain = "src/entry.py"\n'
        f'compatibility_date = "{released["compatibility_date"]}"\n'
        'compatibility_flags = ["python_workers"]\n'
        '[[kv_namespaces]]\nbinding = "SEEN"\nid = "seen"\n',
        "utf-8",
    )
    return config


@pytest.fixture(scope="module")
def worker() -> Iterator[DevWorker]:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as folder:
        config = lay_out(Path(folder))
        with DevWorker(
            state_dir=Path(folder) / "state",
            env={"WEBHOOK_SECRET": SENDER.secret},
            config=config,
            migrate=False,
            ready_path="/",
        ) as running:
            yield running


@pytest.fixture(params=["signed", "receiver"])
def url(request: pytest.FixtureRequest, worker: DevWorker) -> str:
    return f"{worker.url}/{request.param}"


def ask(worker: DevWorker, path: str, value: Any = None) -> Any:
    body = None if value is None else json.dumps(value).encode()
    with urllib.request.urlopen(f"{worker.url}/{path}", body, timeout=60) as answer:
        return json.loads(answer.read())


def test_an_event_arrives_as_it_was_sent(url: str, worker: DevWorker) -> None:
    name = url.replace("/", "-").replace(":", "-").replace(".", "-")
    assert post(url, *SENDER.sign(EVENT, id=name)) == 204
    assert ask(worker, "handled") == [[name, EVENT["type"], EVENT["data"]]]


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_what_is_not_the_senders_is_refused(
    url: str, worker: DevWorker, make: Callable[[WebhookSender], Request]
) -> None:
    assert post(url, *make(SENDER)) == 400
    assert ask(worker, "handled") == []
    if url.endswith("/receiver"):
        # What a Worker logs comes a moment after its answer.
        until(lambda: f"refused a webhook: {REFUSED[make]}: " in worker.log_tail(10_000))


def test_a_handler_that_raises_gets_its_retry_and_no_more(worker: DevWorker) -> None:
    url = f"{worker.url}/receiver"
    body, headers = SENDER.sign({"type": "a", "data": {"fail": 1}}, id="evt_raises")
    assert post(url, body, headers) == 500
    again = SENDER.sign(body, id="evt_raises", timestamp=time.time() + 5)
    assert [post(url, *again) for _ in range(3)] == [204] * 3
    assert ask(worker, "handled") == [["evt_raises", "a", {"fail": 1}]]
    until(lambda: "the handler of a failed with evt_raises" in worker.log_tail(10_000))


def test_a_handler_that_wants_no_more_answers_410(worker: DevWorker) -> None:
    event = {"type": "a", "data": {"gone": True}}
    assert post(f"{worker.url}/receiver", *SENDER.sign(event)) == 410


def test_a_body_that_no_webhook_has_is_refused(worker: DevWorker) -> None:
    body, headers = SENDER.sign(b" " * (BODY_BYTES_MAX + 1))
    assert post(f"{worker.url}/receiver", body, headers) == 413


def test_the_verifier_answers_there_as_the_vectors_say(worker: DevWorker) -> None:
    vectors = [
        {**each, "body_base64": base64.b64encode(body_of(each)).decode()}
        for each in VECTORS["requests"]
    ]
    for vector, answer in zip(vectors, ask(worker, "vectors", vectors), strict=True):
        asymmetric = any(secret.startswith("whpk_") for secret in vector["secrets"])
        # There is no package `cryptography` there, and the secret itself says so.
        assert answer == ("BadSecret" if asymmetric else vector["expect"]), vector["name"]
