"""Imports go one way: domain, ports, engine, adapters, then the faces; there are no circles."""

import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.project.source import all_imports, imports_of, modules, room

INNER = frozenset({"domain", "ports", "engine", "adapters"})
# What each room may know besides itself. "" is `import webhook` itself.
MAY_KNOW: dict[str, frozenset[str]] = {
    "standard_webhooks": frozenset(),
    "domain": frozenset({"standard_webhooks"}),
    "ports": frozenset({"domain"}),
    "engine": frozenset({"standard_webhooks", "domain", "ports"}),
    "adapters": frozenset({"domain", "ports", "engine"}),
    "runtime": INNER,
    "exports": INNER | {"runtime"},
    "": frozenset({"exports"}),
    "receive": frozenset({"standard_webhooks"}),
    "settings": frozenset({"domain"}),
    "toolkit": INNER | {"runtime", "testing"},
    "testing": INNER,
    "api": INNER,
    "client": frozenset({"domain"}),
    "worker": INNER | {"runtime", "api", "settings"},
    "cli": INNER | {"", "api", "client", "receive", "settings"},
    "__main__": frozenset({"cli"}),
}
# Where a package from outside may be imported; the standard library's own are free but sqlite3.
ROOMS_OF_PACKAGES: dict[str, frozenset[str]] = {
    "msgspec": frozenset(MAY_KNOW) - {"", "receive", "standard_webhooks"},
    "starlette": frozenset({"api", "cli", "receive"}),
    "aiohttp": frozenset({"adapters", "client", "receive"}),
    "cryptography": frozenset({"adapters", "receive"}),
    "yarl": frozenset({"adapters"}),
    "asyncpg": frozenset({"adapters"}),
    "sqlite3": frozenset({"adapters", "receive", "toolkit"}),
    "django": frozenset({"receive"}),
    "fastapi": frozenset({"receive"}),
    "flask": frozenset({"receive"}),
    "pytest": frozenset({"receive"}),
    "h11": frozenset({"cli"}),
    "uvicorn": frozenset({"cli"}),
    "typer": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "js": frozenset({"adapters", "client"}),
    "pyodide": frozenset({"adapters", "client"}),
    "workers": frozenset({"adapters", "receive"}),
    "pyodide_http": frozenset({"client"}),
}
JAVASCRIPT = frozenset({"js", "pyodide", "workers"})
KNOW_JAVASCRIPT = ("webhook.adapters.cloudflare", "webhook.client", "webhook.receive.workers")


def test_every_module_belongs_to_a_room_of_the_house() -> None:
    assert {room(module) for module in modules()} <= set(MAY_KNOW)


def test_a_room_imports_only_from_the_rooms_before_it() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.target.split(".")[0] == "webhook"
        and room(found.target) not in MAY_KNOW[room(found.module)] | {room(found.module)}
    ]
    assert wrong == []


def test_imports_form_no_circle() -> None:
    ours = modules()
    # That Python loads a package before its modules is no import of ours.
    graph = {
        module: {found.target for found in imports_of(module) if found.target in ours} - {module}
        for module in ours
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_package_from_outside_stays_in_its_rooms() -> None:
    wrong = []
    for found in all_imports():
        package = found.target.split(".")[0]
        free = package == "webhook" or (
            package in sys.stdlib_module_names and package not in ROOMS_OF_PACKAGES
        )
        if not free and room(found.module) not in ROOMS_OF_PACKAGES.get(package, frozenset()):
            wrong.append(str(found))
    assert wrong == []


def test_only_the_glue_of_cloudflare_and_the_client_know_javascript() -> None:
    wrong = [
        str(found)
        for found in all_imports()
        if found.target.split(".")[0] in JAVASCRIPT and not found.module.startswith(KNOW_JAVASCRIPT)
    ]
    assert wrong == []


def test_a_framework_is_known_to_the_receivers_file_of_its_name_only() -> None:
    glue = {"starlette", "fastapi", "flask", "django", "aiohttp", "workers", "sqlite3", "pytest"}
    files = {"sqlite3": "sqlite", "pytest": "pytest_plugin"}
    wrong = [
        str(found)
        for found in all_imports()
        if room(found.module) == "receive"
        and (package := found.target.split(".")[0]) in glue
        and found.module != f"webhook.receive.{files.get(package, package)}"
    ]
    assert wrong == []
