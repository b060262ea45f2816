"""aiohttp and nothing else: posts the same bytes again and again over some connections.

Arguments: a URL, how many connections, and a file with the headers and the body as JSON. For each
number on standard input it posts that many requests and prints how many seconds they took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import repeat
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from benchmarks.common.processes import at_once

TIMEOUT_S = 15


async def main(url: str, connections: int, headers: dict[str, str], body: bytes) -> None:
    """Post as often as standard input asks for."""
    loop = asyncio.get_running_loop()
    async with ClientSession(
        connector=TCPConnector(limit=connections),
        cookie_jar=DummyCookieJar(),
        timeout=ClientTimeout(total=TIMEOUT_S),
    ) as session:
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            left = repeat(None, int(line))

            async def work() -> None:
                for _ in left:  # noqa: B023 - the workers share what is left of this round
                    async with session.post(url, data=body, headers=headers) as response:
                        assert response.ok
                        await response.read()

            began = time.perf_counter()
            await at_once(connections, work)
            print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    bare = json.loads(Path(sys.argv[3]).read_text("utf-8"))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), bare["headers"], bare["body"].encode()))
