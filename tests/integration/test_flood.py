"""``webhook serve`` while 200 connections drip 1 MB/s of bodies, and pour as much as it takes."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.serving import WAIT_S, Server

CONNECTIONS = 200
BYTES_PER_S = 1_000_000
TICK_S = 0.05
# It goes on until so much has dripped and each of these answers has come.
DRIPPED_MIN = 4 * BYTES_PER_S
ANSWERS = {401, 408, 413}
# Of the server's peak over what it takes before. Measured: 27 MiB; 1,260 when bodies are kept that
# are over their limit.
GROWTH_MAX = 64 * 1024 * 1024
LONG = 4_000_000_000
POURED = b" " * (256 * 1024)
DRIPPED = b" " * int(BYTES_PER_S * TICK_S / (CONNECTIONS * 2 / 3))


class Flood:
    """A third of the connections pour bodies that are too long, the others drip what never ends."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._token = token
        self._open: dict[socket.socket, int] = {}
        self._made = 0
        self.dripped = self.poured = 0
        self.answered: dict[int, int] = {}
        self.most_open = 0

    def run(self) -> None:
        end = time.monotonic() + 2 * WAIT_S
        while time.monotonic() < end and not self._done:
            for _ in range(CONNECTIONS - len(self._open)):
                self._connect()
            self.most_open = max(self.most_open, len(self._open))
            for connection in list(self._open):
                self._send(connection)
            time.sleep(TICK_S)
        for connection in self._open:
            connection.close()

    @property
    def _done(self) -> bool:
        return self.dripped >= DRIPPED_MIN and self.answered.keys() >= ANSWERS

    def _connect(self) -> None:
        number = self._made
        self._made += 1
        # A length that is refused at once; chunks that only add up to too much; one that is good.
        framing = (
            f"content-length: {LONG}",
            "transfer-encoding: chunked",
            "content-length: 2000000",
        )[number % 3]
        # Some show no token.
        token = self._token if number % 5 else "wrong"
        connection = socket.create_connection(self._address, WAIT_S)
        connection.sendall(
            f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
            f"{framing}\r\n\r\n".encode()
        )
        connection.setblocking(False)
        self._open[connection] = number

    def _send(self, connection: socket.socket) -> None:
        kind = self._open[connection] % 3
        try:
            if kind == 0:
                self.poured += connection.send(POURED)
            elif kind == 1:
                self.dripped += connection.send(b"%x\r\n%s\r\n" % (len(DRIPPED), DRIPPED))
            else:
                self.dripped += connection.send(DRIPPED)
        except BlockingIOError:
            pass
        except OSError:
            self._forget(connection)
            return
        try:
            answer = connection.recv(64)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if answer.startswith(b"HTTP/1.1 "):
            status = int(answer[9:12])
            self.answered[status] = self.answered.get(status, 0) + 1
        if not answer:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        del self._open[connection]
        connection.close()


def resident_bytes(pid: int, which: str) -> int:
    """Return what a process has in memory now (``VmRSS``), or had at most (``VmHWM``)."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(rf"{which}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_flood_of_200_connections_takes_bounded_memory_and_healthy_calls_go_through(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, WEBHOOK_REQUEST_S="3") as server:
        for number in range(20):
            server.emit(number)
        before = resident_bytes(server.process.pid, "VmRSS")
        flood = Flood(server.url, server.token)
        thread = threading.Thread(target=flood.run)
        thread.start()
        accepted = 0
        while thread.is_alive():
            assert server.emit(accepted)["id"]
            assert server.get("/health")["status"] == "ok"
            accepted += 1
            time.sleep(TICK_S)
        thread.join()
        most = resident_bytes(server.process.pid, "VmHWM")
        print(
            f"\n{flood.most_open} connections, {flood.dripped / 1e6:.1f} MB dripped, "
            f"{flood.poured / 1e6:.1f} MB poured, answered {flood.answered}: resident "
            f"{before / 2**20:.0f} -> at most {most / 2**20:.0f} MiB; "
            f"{accepted} healthy events accepted"
        )
        assert flood.most_open == CONNECTIONS
        assert flood.dripped >= DRIPPED_MIN
        assert flood.answered.keys() >= ANSWERS
        assert most - before < GROWTH_MAX
        assert accepted > 0
        assert "Traceback" not in server.log()
        assert server.end() == 0
