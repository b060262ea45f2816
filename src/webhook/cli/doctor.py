"""``webhook doctor``: looks for what is wrong, and says how to cure it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from webhook.cli.checkup import Finding, Verdict
from webhook.cli.checkup_local import local_findings
from webhook.cli.checkup_service import service_findings
from webhook.cli.remote import Service, Tenant
from webhook.cli.terminal import ExitCode, stdout

_STYLES = {Verdict.OK: "green", Verdict.BAD: "bold red", Verdict.NOTE: "yellow"}


def doctor(
    service: Service,
    *,
    delivery: Annotated[
        bool,
        typer.Option("--delivery/--no-delivery", help="Whether to try one real delivery out."),
    ] = True,
    tenant: Tenant = None,
) -> None:
    """Check store, keys, clock, token, sending and endpoints, and try one real delivery.

    The store is looked at where it lies on this machine. The delivery goes to a receiver of its
    own on this machine, for a tenant that is nobody else's. Ends with 1 if
    something is wrong.

    Example: webhook doctor
    """
    found: list[Finding] = []
    for finding in (
        *local_findings(service.settings),
        *service_findings(service, tenant, delivery=delivery),
    ):
        found.append(finding)
        if not service.as_json:
            _print(finding)
    if service.as_json:
        print(json.dumps([asdict(finding) for finding in found], ensure_ascii=False))
    if any(finding.verdict is Verdict.BAD for finding in found):
        raise typer.Exit(ExitCode.FAILED)


def _print(finding: Finding) -> None:
    out = stdout()
    out.print(
        Text.assemble(
            (f"{finding.verdict.value:<5}", _STYLES[finding.verdict]),
            (f"{finding.what:<10}", "bold"),
            finding.told,
        )
    )
    if finding.cure:
        out.print(Text(f"     {finding.cure}", "cyan"))
