"""The time from POST /v1/events until the receiver sees the request, when nothing else goes on.

``webhook serve`` runs as a process of its own on a SQLite file with synchronous=FULL; caller and
receiver share this process and thereby its clock. The same caller also posts to the same receiver
directly: a machine that is slow at that is slow, not the service. ``--count`` events, 200 by
default, after ``--pause`` seconds each, 0.03 by default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
P50_MS_MAX = 10
WARM_UP = 20


class Receiver(asyncio.Protocol):
    """Notes when the first bytes of a request come in, and answers when it is complete."""

    seen: asyncio.Queue[float]

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._began = 0.0
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what has come in."""
        if not self._bytes:
            self._began = time.perf_counter()
        self._bytes += data
        head, end, body = self._bytes.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and self._transport is not None and len(body) >= int(length[1] if length else 0):
            self._bytes = b""
            self._transport.write(ANSWER)
            Receiver.seen.put_nowait(self._began)


class Caller:
    """Posts JSON over one connection, which stays open."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: object) -> tuple[float, bytes]:
        """Return when the request went out, and what was answered."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + content)
        head_read = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head_read)
        answer = await reader.readexactly(int(length[1] if length else 0))
        if not head_read.startswith(b"HTTP/1.1 2"):
            sys.exit(f"{path} answered {(head_read + answer).decode()}")
        return began, answer


class Percentiles(NamedTuple):
    """Times in ms."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, times_ms: list[float]) -> Percentiles:
        """Work them out."""
        cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
        return cls(cuts[49], cuts[89], cuts[98])


async def measure(caller: Caller, path: str, count: int, pause_s: float) -> Percentiles:
    """Post one event after the other; the receiver has seen each before the next."""
    times_ms = []
    for number in range(WARM_UP + count):
        await asyncio.sleep(pause_s)
        body = {"type": "message.sent", "data": {"number": number, "text": "hello"}}
        posting = asyncio.ensure_future(caller.post(path, body))
        seen = await asyncio.wait_for(Receiver.seen.get(), 30)
        began, _ = await posting
        if number >= WARM_UP:
            times_ms.append((seen - began) * 1000)
    return Percentiles.of(times_ms)


async def start_server(folder: Path) -> tuple[asyncio.subprocess.Process, int, str]:
    """Start ``webhook serve`` and return it with its port and its token."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEBHOOK_")}
    with (folder / "log.txt").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "webhook", "serve", "--port", "0"),
            *("--allow-private-hosts", "--allow-http"),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    shown = b""
    while b"Emit an event" not in shown:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        if not line:
            sys.exit("The server did not start: " + (folder / "log.txt").read_text())
        shown += line
    port = re.search(rb"Listening +http://127\.0\.0\.1:(\d+)", shown)
    assert port is not None
    return process, int(port[1]), (folder / "webhook.db.token").read_text().strip()


async def run(folder: Path, count: int, pause_s: float) -> None:
    """Measure and print."""
    Receiver.seen = asyncio.Queue()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(Receiver, "127.0.0.1", 0)
    receiver_port = listening.sockets[0].getsockname()[1]
    process, port, token = await start_server(folder)
    try:
        caller = Caller(port, token)
        endpoint = {"url": f"http://127.0.0.1:{receiver_port}/", "event_types": ["*"]}
        await caller.post("/v1/endpoints", endpoint)
        delivered = await measure(caller, "/v1/events", count, pause_s)
        bare = await measure(Caller(receiver_port, token), "/", count, pause_s)
    finally:
        process.terminate()
        await process.wait()
        listening.close()
    print(f"First byte at the receiver, {count} events one by one, SQLite with synchronous=FULL")
    print(f"{'':<20}{'p50':>10}{'p90':>10}{'p99':>10}")
    for name, times in (("POST /v1/events", delivered), ("bare POST", bare)):
        print(f"{name:<20}" + "".join(f"{ms:>7.2f} ms" for ms in times))
    ratios = (ours / theirs for ours, theirs in zip(delivered, bare, strict=True))
    print(f"{'ratio':<20}" + "".join(f"{ratio:>9.1f}x" for ratio in ratios))
    verdict = "yes" if delivered.p50 <= P50_MS_MAX else "no"
    print(f"p50 at most {P50_MS_MAX} ms: {verdict}")
    print(f"on {machine(folder)}")


def machine(folder: Path) -> str:
    """Describe what this was measured on."""
    model = platform.processor() or platform.machine()
    kind = "unknown file system"
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"))
        model = found[1] if found else model
        mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
        kind = max((m[1], m[2]) for m in mounts if folder.is_relative_to(m[1]))[1]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    return (
        f"{os.cpu_count()} x {model}, {platform.system()}, {kind}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.03)
    given = parser.parse_args()
    # Beside the sources: a temporary folder may lie in memory, where FULL costs nothing.
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="first-byte-", dir=cache))
    try:
        asyncio.run(run(folder, given.count, given.pause))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
