"""The commands' help, and how the command line behaves without what it needs."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from webhook.cli.app import app
from webhook.cli.flags import flags_of
from webhook.settings import SETTINGS


def commands_of(app: typer.Typer, *above: str) -> list[str]:
    """Name every command that there is, the groups above them included."""
    found = []
    for command in app.registered_commands:
        name = str(command.name or getattr(command.callback, "__name__", ""))
        found.append(" ".join([*above, name]))
    for below in app.registered_groups:
        assert below.typer_instance is not None
        group = str(below.name or below.typer_instance.info.name)
        found += [" ".join([*above, group]), *commands_of(below.typer_instance, *above, group)]
    return found


ALL = commands_of(app)
COMMANDS = [name for name in ALL if " " not in name]
runner = CliRunner()


def help_of(*command: str) -> str:
    done = runner.invoke(app, [*command, "--help"], prog_name="webhook")
    assert done.exit_code == 0
    return done.stdout


def test_every_command_is_listed_with_its_sentence() -> None:
    listed = re.findall(r"^  (\w+) +\S", help_of().partition("Commands:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("command", ALL)
def test_every_command_has_an_example_that_it_understands(command: str) -> None:
    example = re.search(rf"Example: webhook ({command}\b.*)", help_of(*command.split()))
    assert example
    # The help is asked for last, after all else on the line has been understood.
    done = runner.invoke(app, [*shlex.split(example[1]), "--help"], prog_name="webhook")
    assert done.exit_code == 0


@pytest.mark.parametrize("command", ALL)
def test_every_option_says_what_it_is_for(command: str) -> None:
    options = help_of(*command.split()).partition("Options:\n")[2].partition("Commands:")[0]
    entries = re.findall(r"^  (-.*(?:\n {10,}.*)*)", options, re.MULTILINE)
    assert entries
    assert [entry for entry in entries if not re.search(r" {2,}[A-Z]", entry)] == []


def test_no_key_can_be_given_on_a_command_line_that_others_can_read() -> None:
    assert "encryption" not in help_of("serve")


@pytest.mark.parametrize(
    ("flag", "value", "variable"),
    [
        ("--token", "planted", "WEBHOOK_API_TOKEN"),
        ("--secret-key", "whsec_" + "planted0" * 4, "WEBHOOK_SECRET_KEY"),
        ("--store", "postgresql://a:planted@127.0.0.1:1/x", "WEBHOOK_STORE"),
        ("--store", "postgresql://127.0.0.1:1/x?password=planted", "WEBHOOK_STORE"),
    ],
)
def test_serve_warns_of_a_secret_on_its_command_line(flag: str, value: str, variable: str) -> None:
    # No address of this machine, so that it ends there.
    where = {"WEBHOOK_HOST": "192.0.2.1"}
    done = runner.invoke(app, ["serve", flag, value], env=where)
    assert f"Warning: {flag}: others on this machine" in done.stderr
    assert variable in done.stderr
    assert "planted" not in done.output
    quiet = runner.invoke(app, ["serve"], env={**where, variable: value})
    assert "Warning" not in quiet.stderr


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"WEBHOOK_ENCRYPTION_KEYS"}))
def test_serve_has_every_setting_as_a_flag(name: str) -> None:
    text = help_of("serve")
    for flag in flags_of(SETTINGS[name]):
        assert re.search(rf"{flag}\b", text)


def test_the_version_is_the_packages() -> None:
    done = runner.invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"webhook {version('webhook')}\n")


@pytest.mark.parametrize("arguments", [["serve", "--nonsense"], ["nonsense"], ["emit"]])
def test_used_wrongly_is_2(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['webhook', *{arguments!r}]\n"
        "from webhook.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("typer", ["--help"]),
        ("rich", ["emit", "a.b"]),
        ("uvicorn", ["serve", "--store", "memory://"]),
        ("aiohttp", ["serve", "--store", "memory://", "--port", "0"]),
    ],
)
def test_without_the_extra_it_says_what_to_install(package: str, arguments: list[str]) -> None:
    done = run_without(package, *arguments)
    assert done.returncode == 1
    assert "pip install 'webhook[server]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_importing_the_package_imports_no_command_line() -> None:
    code = "import webhook, sys; sys.exit('webhook.cli' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
