"""What `webhook serve` cannot use it names in one sentence, ends with 1 or 2, and leaves alone."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.serving import run

TEXT = b"no database, but somebody's notes\n" * 20


def make_foreign(path: Path, *tables: str) -> None:
    connection = sqlite3.connect(path)
    for table in tables:
        connection.execute(f"CREATE TABLE {table} (name TEXT)")
        connection.execute(f"INSERT INTO {table} VALUES ('0001_initial.sql')")
    connection.commit()
    connection.close()


def make_corrupt(path: Path) -> None:
    make_foreign(path, "deliveries")
    content = bytearray(path.read_bytes())
    content[100:400] = b"\xff" * 300
    path.write_bytes(content)


def make_newer(path: Path) -> None:
    make_foreign(path, "deliveries")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY, name TEXT)")
    connection.execute("INSERT INTO d1_migrations (name) VALUES ('9999_from_the_future.sql')")
    connection.commit()
    connection.close()


def make_logged(path: Path) -> None:
    """Make a database that keeps a write-ahead log, and has none while nobody has it open."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    make_foreign(path, "users")


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_bytes(TEXT), "no usable SQLite database"),
    "corrupt": (make_corrupt, "no usable SQLite database"),
    "foreign": (lambda path: make_foreign(path, "users"), "another program"),
    "foreign with a log": (make_logged, "another program"),
    # Wrangler's table alone proves nothing: every D1 project has one.
    "wrangler": (lambda path: make_foreign(path, "users", "d1_migrations"), "another program"),
    "newer": (make_newer, "9999_from_the_future.sql"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    make, words = KINDS[kind]
    file = tmp_path / "webhook.db"
    make(file)
    before = file.read_bytes()
    done = run("serve", "--port", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: sqlite:///webhook.db: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["webhook.db"]


def test_what_another_program_has_open_is_left_alone_with_its_log(tmp_path: Path) -> None:
    file, log = tmp_path / "webhook.db", tmp_path / "webhook.db-wal"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE users (name TEXT)")
    connection.commit()
    before = (file.read_bytes(), log.read_bytes())
    done = run("serve", "--port", "0", cwd=tmp_path)
    assert "another program" in done.stderr
    assert (file.read_bytes(), log.read_bytes()) == before
    connection.execute("INSERT INTO users VALUES ('it goes on')")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("sqlite:///missing/webhook.db", "The folder missing does not exist"),
        ("sqlite:////proc/webhook.db", "unable to open database file"),
        ("sqlite:////proc", "is a folder"),
    ],
)
def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path, store: str, words: str) -> None:
    done = run("serve", "--port", "0", "--store", store, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {store}: ")
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_named_and_the_store_is_not_touched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: Port {port} of 127.0.0.1 is taken")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_insecure_is_for_loopback_alone(tmp_path: Path) -> None:
    done = run("serve", "--insecure", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)  # noqa: S104 - is refused
    assert done.returncode == 1
    assert "loopback" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_setting_is_named_as_it_was_given(tmp_path: Path) -> None:
    by_variable = run("serve", cwd=tmp_path, WEBHOOK_TIMEOUT_MS="soon")
    by_flag = run("serve", "--timeout-ms", "soon", cwd=tmp_path)
    assert by_variable.stderr.startswith("Error: WEBHOOK_TIMEOUT_MS: 'soon' is no whole number")
    assert by_flag.stderr.startswith("Error: --timeout-ms: 'soon' is no whole number")
    assert (by_variable.returncode, by_flag.returncode) == (2, 2)


def test_an_unknown_variable_is_warned_of(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # it ends before it serves
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, cwd=tmp_path, WEBHOOK_TIMEOUT="5")
    assert "Did you mean WEBHOOK_TIMEOUT_MS?" in done.stderr.splitlines()[0]
