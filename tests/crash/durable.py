"""What of a server's files a loss of power would leave, from a trace of its system calls.

Of each file only what was synced counts, as it was when the sync began; and a file is there, or is
gone, only when its folder was synced after that. Whatever else was written is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

STRACE = [
    *("strace", "-D", "-f", "-qq", "-y", "-xx", "-s", "100000", "-e", "signal=none"),
    *("-e", "trace=unlink,pwrite64,pwritev,fallocate,fsync,fdatasync,ftruncate,sendto,sendmsg"),
]
"""-D: the traced process stays a child of ours, which we can end as ever."""
_LINE = re.compile(r"(\d+) +(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))")
_UNFINISHED = " <unfinished ...>"
_FILE = re.compile(r"\d+<((?:\\x..)+)>")
_WRITE = re.compile(r'"((?:\\x..)*)", (\d+), (\d+)\) += (\d+)$')
_TRUNCATE = re.compile(r", (\d+)\) += 0$")
_REMOVED = re.compile(r'"((?:\\x..)+)"')
_SENT = re.compile(r'(\d+)<[^>]*>, "((?:\\x..)*)"')
_ACCEPTED = b"HTTP/1.1 202 "
_ID = re.compile(rb'^\{"id":"([^"]+)"')


class Call(NamedTuple):
    """A system call; ``start`` and ``end`` are lines of the trace."""

    name: str
    arguments: str
    start: int
    end: int

    @property
    def path(self) -> str:
        """The file that it is about."""
        found = _FILE.match(self.arguments)
        return "" if found is None else _bytes(found[1]).decode()


@dataclass
class Answer:
    """A 202: the event's id, and what of the files was safe when it went out."""

    event_id: str
    files: dict[str, bytes]


def answers(trace: str) -> Iterator[Answer]:
    """Replay a trace; give each 202, in order."""
    calls = list(_calls(trace))
    sent = _accepted(calls)
    moments: list[tuple[int, int, Call]] = []
    for call in calls:
        # A write counts when it has ended, a sync from its start to its end.
        moments += [(call.start, 0, call)] if call.name in {"fsync", "fdatasync"} else []
        moments.append((call.start if call.start in sent else call.end, 1, call))
    disk = _Disk()
    for line, last, call in sorted(moments, key=lambda moment: moment[:2]):
        if call.start in sent and last:
            yield Answer(sent[line], disk.safe())
        elif call.name in {"fsync", "fdatasync"}:
            assert call.arguments.endswith("= 0"), call
            (disk.sync_ends if last else disk.sync_begins)(call.path)
        elif call.name == "pwrite64":
            disk.write(call)
        elif call.name == "ftruncate":
            disk.truncate(call)
        elif call.name == "unlink":
            disk.remove(call)
        else:
            # What the replay does not know must not change a file that counts.
            assert not call.path.endswith((".db", "-wal")), call


class _Disk:
    def __init__(self) -> None:
        self._written: dict[str, bytearray] = {}
        self._syncing: dict[str, bytes] = {}
        self._synced: dict[str, bytes] = {}
        self._named: set[str] = set()
        self._removed: set[str] = set()

    def write(self, call: Call) -> None:
        found = _WRITE.search(call.arguments)
        assert found is not None, call.arguments[-200:]
        data, offset = _bytes(found[1]), int(found[3])
        assert len(data) == int(found[2]) == int(found[4])
        content = self._written.setdefault(call.path, bytearray())
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data

    def truncate(self, call: Call) -> None:
        found = _TRUNCATE.search(call.arguments)
        assert found is not None, call
        content = self._written.setdefault(call.path, bytearray())
        size = int(found[1])
        content[:] = content[:size] + bytes(max(0, size - len(content)))

    def remove(self, call: Call) -> None:
        found = _REMOVED.match(call.arguments)
        assert found is not None, call
        path = _bytes(found[1]).decode()
        self._written.pop(path, None)
        self._removed.add(path)

    def sync_begins(self, path: str) -> None:
        self._syncing[path] = bytes(self._written.get(path, b""))

    def sync_ends(self, path: str) -> None:
        self._synced[path] = self._syncing.pop(path)
        for file in [file for file in self._removed if str(Path(file).parent) == path]:
            self._removed.discard(file)
            self._named.discard(file)
            self._synced.pop(file, None)
        self._named.update(file for file in self._written if str(Path(file).parent) == path)

    def safe(self) -> dict[str, bytes]:
        return {path: self._synced[path] for path in self._named & self._synced.keys()}


def _calls(trace: str) -> Iterator[Call]:
    begun: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.splitlines()):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        process, name, arguments, resumed, rest = found.groups()
        if resumed is not None:
            start_arguments, start = begun.pop(process)
            yield Call(resumed, start_arguments + rest, start, number)
        elif arguments.endswith(_UNFINISHED):
            begun[process] = (arguments.removesuffix(_UNFINISHED), number)
        else:
            yield Call(name, arguments, number, number)


def _accepted(calls: list[Call]) -> dict[int, str]:
    """Return the ids of events by the line at which a 202 for them begins to be sent."""
    found: dict[int, str] = {}
    begun: dict[str, int] = {}
    for call in sorted(calls, key=lambda call: call.start):
        sent = _SENT.match(call.arguments) if call.name == "sendto" else None
        if sent is None:
            continue
        data = _bytes(sent[2])
        head, _, body = data.partition(b"\r\n\r\n")
        if head.startswith(_ACCEPTED):
            begun[sent[1]] = call.start
        else:
            body = data
        if (event := _ID.match(body)) is not None and sent[1] in begun:
            found[begun.pop(sent[1])] = event[1].decode()
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
