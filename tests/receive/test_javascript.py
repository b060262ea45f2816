"""The receivers' package in TypeScript: built, measured, held to the vectors."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receive.refused import REFUSED, Request
from tests.receive.vectors import FILE, VECTORS
from tests.worker.harness import until
from tools import CACHE, ROOT
from tools.dev_worker import DevWorker
from tools.toolchain import ensure_node_modules, find_node
from webhook.receive.testing import WebhookSender, post, signed_request

PACKAGE = ROOT / "packages" / "receive-js"
HERE = Path(__file__).with_name("javascript")
BYTES_MAX = 2_000

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = {"type": "a.b", "data": {"n": [1]}, "metadata": {"lang": "en"}, "id": "evt_1"}
BODIES: list[bytes] = [
    b"{",
    b"\xff",
    b'\xef\xbb\xbf{"type":"a","data":1}',
    b"null",
    b"[]",
    b'"text"',
    b'{"data":1}',
    b'{"type":"a"}',
    b'{"type":1,"data":1}',
    b'{"type":"a","data":1,"timestamp":"yesterday"}',
    b"[" * 200_000,
]


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [find_node(), *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package as it is published."""
    tsc = ensure_node_modules() / "typescript" / "bin" / "tsc"
    folder = tmp_path_factory.mktemp("receive-js")
    shutil.copyfile(PACKAGE / "package.json", folder / "package.json")
    commands = json.loads((PACKAGE / "package.json").read_text("utf-8"))["scripts"]["build"]
    for command in commands.split(" && "):
        name, *options = command.split()
        assert name == "tsc"
        run(tsc, "-p", PACKAGE, "--outDir", folder / "dist", *options)
    return folder


@pytest.fixture(scope="module")
def found(built: Path) -> dict[str, Any]:
    """What the built module says in Node."""
    requests = [signed_request(SECRET, EVENT), *(signed_request(SECRET, each) for each in BODIES)]
    given = [
        {"secret": SECRET, "body": base64.b64encode(body).decode(), "headers": headers}
        for body, headers in requests
    ]
    path = built / "requests.json"
    path.write_text(json.dumps(given), "utf-8")
    answers: dict[str, Any] = json.loads(
        run(HERE / "node.mjs", built / "dist" / "index.js", FILE, path)
    )
    return answers


def expected(vector: dict[str, Any]) -> str:
    return f"ok {vector['key_index']}" if vector["expect"] == "ok" else str(vector["expect"])


def expect_the_vectors(found: dict[str, Any]) -> None:
    requests = {vector["name"]: expected(vector) for vector in VECTORS["requests"]}
    assert found["requests"] == requests
    # Most can be carried by a Request.
    assert len(found["asRequest"]) > len(requests) * 0.7
    assert found["asRequest"] == {name: requests[name] for name in found["asRequest"]}
    assert found["secrets"] == {each["name"]: each["expect"] for each in VECTORS["secrets"]}


def test_it_answers_in_node_as_the_vectors_say(found: dict[str, Any]) -> None:
    expect_the_vectors(found)


def test_it_answers_in_workerd_as_the_vectors_say(worker: DevWorker) -> None:
    body = FILE.read_bytes()
    with urllib.request.urlopen(worker.url, body, timeout=60) as answer:
        expect_the_vectors(json.loads(answer.read()))


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_the_worker_of_its_readme_refuses_what_is_not_the_senders(
    worker: DevWorker, make: Callable[[WebhookSender], Request]
) -> None:
    assert post(f"{worker.url}/hook", *make(WebhookSender(SECRET))) == 400


def test_the_worker_of_its_readme_takes_an_event(worker: DevWorker) -> None:
    assert post(f"{worker.url}/hook", *signed_request(SECRET, EVENT)) == 204
    until(lambda: "evt_1 a.b" in worker.log_tail(10_000))
    assert post(f"{worker.url}/hook", *signed_request(SECRET, b"no event")) == 400


@pytest.fixture(scope="module")
def worker(built: Path) -> Iterator[DevWorker]:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as folder:
        project = Path(folder)
        for path in (HERE / "worker.mjs", HERE / "answers.mjs", built / "dist" / "index.js"):
            shutil.copy(path, project)
        readme = (PACKAGE / "README.md").read_text("utf-8")
        [example] = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
        example = example.replace('"webhook-receive"', '"./index.js"')
        (project / "readme.mjs").write_text(example, "utf-8")
        released = tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))
        config = project / "wrangler.toml"
        config.write_text(
            'name = "webhook-receive-js-tests"\nmain = "worker.mjs"\n'
            f'compatibility_date = "{released["compatibility_date"]}"\n',
            "utf-8",
        )
        with DevWorker(
            state_dir=project / "state",
            env={"WEBHOOK_SECRET": SECRET},
            config=config,
            development_bundle=False,
            migrate=False,
            ready_path="/",
        ) as running:
            yield running


def test_it_unwraps_an_event(found: dict[str, Any]) -> None:
    event, *others = found["unwrapped"]
    assert (event["id"], event["type"], event["data"]) == ("evt_1", "a.b", {"n": [1]})
    assert event["metadata"] == {"lang": "en"}
    assert event["payload"]["version"] == "1"
    assert event["timestamp"] == event["payload"]["timestamp"].replace("Z", ".000Z")
    assert [each.partition(": ")[0] for each in others] == ["BadPayload"] * len(BODIES)


def test_what_is_no_body_and_no_secret_is_a_mistake_of_the_program(found: dict[str, Any]) -> None:
    assert found["noSecret"] == "BadSecret"
    reason = "TypeError: the body is not raw bytes: what was parsed, written again, differs"
    assert found["noBytes"] == [reason] * 3


def test_it_is_smaller_than_2_kb(built: Path) -> None:
    packed = len(gzip.compress((built / "dist" / "index.js").read_bytes(), 9))
    assert packed < BYTES_MAX


def test_its_types_are_those_that_programs_rely_on(built: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "usage.ts", tmp_path)
    target = tmp_path / "node_modules" / "webhook-receive"
    shutil.copytree(built, target)
    run(
        *(
            ROOT / "node_modules" / "typescript" / "bin" / "tsc",
            "--noEmit",
            "--strict",
            "--module",
            "nodenext",
            "--target",
            "es2024",
        ),
        *("--lib", "es2024,dom,dom.iterable", "--types", "", tmp_path / "usage.ts"),
    )


def test_it_uses_nothing_that_only_one_platform_has(built: Path) -> None:
    code = (built / "dist" / "index.js").read_text("utf-8")
    assert "import" not in code.replace("importKey", "")
    assert not any(name in code for name in ("Buffer.", "process", "require", "node:"))


def test_its_version_is_the_packages() -> None:
    version = json.loads((PACKAGE / "package.json").read_text("utf-8"))["version"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert version == project["version"]
