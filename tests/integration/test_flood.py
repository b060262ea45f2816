"""``webhook serve`` while 200 connections drip and pour bodies at it, 1 MB/s and more in all."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.serving import Server

CONNECTIONS = 200
FLOOD_S = 8.0
BYTES_PER_S = 1_000_000
TICK_S = 0.05
# All that may be held: what is read ahead of each connection, and a body of 2 MiB at most.
GROWTH_MAX = 96 * 1024 * 1024
LONG = 4_000_000_000


class Flood:
    """Half of the connections send bodies that are too long, half good ones that never end."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._token = token
        self._open: dict[socket.socket, int] = {}
        self.sent = 0
        self.answered: dict[int, int] = {}
        self.most_open = 0

    def run(self) -> None:
        end = time.monotonic() + FLOOD_S
        number = 0
        piece = b" " * int(BYTES_PER_S * TICK_S / CONNECTIONS * 1.5)
        while time.monotonic() < end:
            while len(self._open) < CONNECTIONS:
                self._connect(number)
                number += 1
            self.most_open = max(self.most_open, len(self._open))
            for connection in list(self._open):
                self._send(connection, piece)
            time.sleep(TICK_S)
        for connection in self._open:
            connection.close()

    def _connect(self, number: int) -> None:
        connection = socket.create_connection(self._address)
        # A length that is refused at once; chunks that only add up to too much; one that is good.
        framing = (
            f"content-length: {LONG}",
            "transfer-encoding: chunked",
            "content-length: 2000000",
        )[number % 3]
        # Some show no token.
        token = self._token if number % 5 else "wrong"
        connection.sendall(
            f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
            f"{framing}\r\n\r\n".encode()
        )
        connection.setblocking(False)
        self._open[connection] = number

    def _send(self, connection: socket.socket, piece: bytes) -> None:
        chunked = self._open[connection] % 3 == 1
        framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
        try:
            self.sent += connection.send(framed)
            answer = connection.recv(64)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if answer.startswith(b"HTTP/1.1 "):
            status = int(answer[9:12])
            self.answered[status] = self.answered.get(status, 0) + 1
        if not answer:
            del self._open[connection]
            connection.close()


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_flood_of_200_connections_takes_bounded_memory_and_healthy_calls_go_through(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, WEBHOOK_REQUEST_S="3") as server:
        for number in range(20):
            server.emit(number)
        before = most = resident_bytes(server.process.pid)
        flood = Flood(server.url, server.token)
        thread = threading.Thread(target=flood.run)
        thread.start()
        accepted = 0
        while thread.is_alive():
            assert server.emit(accepted)["id"]
            assert server.get("/health")["status"] == "ok"
            accepted += 1
            most = max(most, resident_bytes(server.process.pid))
            time.sleep(TICK_S)
        thread.join()
        print(  # noqa: T201 - the figure that is promised
            f"\n{flood.most_open} connections, {flood.sent / FLOOD_S / 1e6:.1f} MB/s, answered "
            f"{flood.answered}: resident {before / 2**20:.0f} -> at most {most / 2**20:.0f} MiB; "
            f"{accepted} healthy events accepted"
        )
        assert flood.most_open == CONNECTIONS
        assert flood.sent > FLOOD_S * BYTES_PER_S / 2
        assert {401, 408, 413} <= flood.answered.keys()
        assert most - before < GROWTH_MAX
        assert accepted > 0
        assert "Traceback" not in server.log()
        assert server.end() == 0
