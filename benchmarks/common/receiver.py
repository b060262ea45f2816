"""A receiver that costs next to nothing, in a process of its own.

Each POST is answered with 200 as soon as it is whole; one to ``/hang`` is neither answered nor
counted. ``GET /seen`` says how many came and, of those whose body holds ``"at":`` and a time of the
monotonic clock in ns, how many ms had gone by at their first byte (asking forgets them). ``GET
/reached/N`` is answered as soon as N have come.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import re
import socket
import sys
import time

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_REACHED_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_REACHED = re.compile(rb"GET /reached/(\d+) ")
_AT = re.compile(rb'"at":(\d+)')


class Receiver(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    count = 0
    latencies_ms: list[float]
    waiting: list[tuple[int, Receiver]]

    def __init__(self) -> None:
        self._bytes = b""
        self._began_ns = 0

    def __lt__(self, other: Receiver) -> bool:
        """Let the heap keep those that wait for the same count in any order."""
        return id(self) < id(other)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what has come in; answer once it is a whole request."""
        if not self._bytes:
            self._began_ns = time.monotonic_ns()
            self._bytes = data
        else:
            self._bytes += data
        head_end = self._bytes.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._bytes, 0, head_end)
        if len(self._bytes) < head_end + 4 + (int(length[1]) if length else 0):
            return
        request, self._bytes = self._bytes, b""
        if request.startswith(b"GET"):
            self._tell(request)
            return
        if request.startswith(b"POST /hang"):
            return
        Receiver.count += 1
        if Receiver.waiting and Receiver.waiting[0][0] <= Receiver.count:
            _, waiting = heapq.heappop(Receiver.waiting)
            waiting.transport.write(_REACHED_ANSWER)
        self.transport.write(ANSWER)
        if (at := _AT.search(request, head_end)) is not None:
            Receiver.latencies_ms.append((self._began_ns - int(at[1])) / 1e6)

    def _tell(self, request: bytes) -> None:
        reached = _REACHED.match(request)
        if reached is not None and int(reached[1]) > Receiver.count:
            heapq.heappush(Receiver.waiting, (int(reached[1]), self))
            return
        if reached is not None:
            self.transport.write(_REACHED_ANSWER)
            return
        seen = {"count": Receiver.count, "latencies_ms": Receiver.latencies_ms}
        Receiver.latencies_ms = []
        body = json.dumps(seen).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def main() -> None:
    """Listen on a free port, print it, and serve until the end of standard input."""
    Receiver.latencies_ms, Receiver.waiting = [], []
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await loop.create_server(Receiver, sock=sock)
    print(sock.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
