"""Lists on a terminal of 80 columns, and piped; times that flags mean."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import typer
from rich.console import Console

from webhook.cli import listing, terminal
from webhook.cli.listing import Row, age, print_details, print_rows, time_of

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG = "TLS: the certificate of hooks.example.com expired 3 days ago; next attempt at 14:32:18"
ROWS = [
    Row("dlv_" + "a" * 52, [datetime.now(UTC) - timedelta(hours=3), "exhausted", "a.b"], LONG),
    Row("dlv_" + "b" * 52, [datetime.now(UTC) - timedelta(days=9), "success", "message.sent"], ""),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=80, soft_wrap=True, color_system=None, highlight=False
    )
    monkeypatch.setattr(listing, "stdout", lambda: console)
    return out


def test_on_a_terminal_it_keeps_within_80_columns_and_loses_nothing(shown: io.StringIO) -> None:
    print_rows(ROWS)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("3 h ago  exhausted  a.b           TLS: the certificate")
    whole = " ".join(shown.getvalue().split())
    assert all(word in whole for word in LONG.split())
    assert f"  {ROWS[0].id}" in lines
    assert f"  {ROWS[1].id}" in lines
    assert any(line.startswith("9 d ago  success    message.sent") for line in lines)


def test_piped_an_item_is_a_line_with_its_id_first_and_exact_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows([Row("dlv_a", [AT, "failed", "a.b"], LONG), Row("dlv_bb", [AT, "success", "c.d"])])
    assert capsys.readouterr().out.splitlines() == [
        f"dlv_a   2026-01-31T12:00:00.000Z  failed   a.b  {LONG}",
        "dlv_bb  2026-01-31T12:00:00.000Z  success  c.d",
    ]


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_obeyed(
    no_color: str, *, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    console = terminal.stdout()
    console.file = out
    monkeypatch.setattr(listing, "stdout", lambda: console)
    print_rows(ROWS)
    assert ("\x1b[" in out.getvalue()) == coloured


def test_details_leave_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    print_details([("id", "x"), ("name", None), ("created", AT), ("rate", 0.5)])
    assert capsys.readouterr().out.splitlines() == [
        "id       x",
        "created  2026-01-31T12:00:00.000Z",
        "rate     0.5",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7_300, "2 h ago"), (-200, "in 3 min")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, told: str) -> None:
    assert age(AT - timedelta(seconds=seconds), AT) == told


def test_a_time_is_so_long_ago_or_exact() -> None:
    assert time_of("--since", None) is None
    assert time_of("--since", "2026-01-31T12:00:00Z") == AT
    found = time_of("--since", "2h")
    assert found is not None
    assert abs(datetime.now(UTC) - timedelta(hours=2) - found) < timedelta(minutes=10)


@pytest.mark.parametrize("text", ["", "2", "2y", "-2h", "yesterday", "2026-01-31T12:00:00"])
def test_what_is_no_time_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        time_of("--since", text)
    assert ended.value.exit_code == 2
    assert "--since" in capsys.readouterr().err
