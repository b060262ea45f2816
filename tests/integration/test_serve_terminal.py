"""What a person sees of `webhook serve` on a terminal of 80 columns."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.serving import COMMAND, WAIT_S, clean_environment
from tests.integration.test_serve import curl_lines, paste

COLUMNS = 80
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def on_a_terminal(folder: Path, **settings: str) -> Iterator[str]:
    """Start the server on a terminal and give what it shows once it is ready."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = clean_environment(TERM="xterm-256color", **settings)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "CI"):
        if name not in settings:
            environment.pop(name, None)
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    try:
        shown = b""
        while not shown.rstrip(b"\x1b[0m").endswith(b"\n\r\n") or b"Emit an event" not in shown:
            shown += os.read(ours, 65_536)
        yield shown.decode().replace("\r\n", "\n")
        process.send_signal(signal.SIGINT)
        while b"Stopped." not in shown:
            shown += os.read(ours, 65_536)
        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_it_fits_into_80_columns_in_colour(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as shown:
        assert ESCAPE.search(shown)
        plain = ESCAPE.sub("", shown)
        # The path of a test's folder is longer than a person's.
        lines = [line for line in plain.splitlines() if not line.startswith("Data")]
        assert max(len(line) for line in lines) <= COLUMNS


def test_no_color_is_honoured(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, NO_COLOR="1") as shown:
        assert "\x1b" not in shown


@pytest.mark.parametrize("token", ["", 'o"wn$HOME`to\\k!en'])
def test_the_curl_lines_work_when_they_are_pasted_elsewhere(tmp_path: Path, token: str) -> None:
    with on_a_terminal(tmp_path, WEBHOOK_API_TOKEN=token) as shown:
        for command in curl_lines(ESCAPE.sub("", shown)):
            assert paste(command)["id"]
