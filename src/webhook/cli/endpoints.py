"""``webhook endpoints``: the receivers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from webhook.cli.emit import metadata_of, pairs_of
from webhook.cli.events import Yes
from webhook.cli.listing import Row, exact, print_details
from webhook.cli.remote import AnyTenant, Cursor, Limit, Service, Tenant, add, confirm, group, told
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.client import Client, Endpoint, Probe, Secrets
from webhook.domain.model import EndpointStatus

app = group("endpoints", "Add, change, pause and try out the receivers.", "endpoints list")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id.")]
_Types = Annotated[
    list[str] | None,
    typer.Option("--types", metavar="TYPE,...", help="Such as message.sent, message.*, or *."),
]
_Name = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="For people.")]
_Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="NAME=VALUE", help="Metadata to have; may be repeated."),
]
_Header = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME=VALUE", help="Sent with each request; may be repeated."),
]
_Timeout = Annotated[
    int | None, typer.Option("--timeout-ms", metavar="MS", help="Deadline of one attempt.")
]
_Rate = Annotated[
    float | None, typer.Option("--rate", metavar="N", help="Most attempts started in a second.")
]
_Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", help="Most attempts under way at once.")
]


def list_endpoints(
    service: Service,
    *,
    status: Annotated[
        EndpointStatus | None, typer.Option("--status", help="Of this status.")
    ] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List endpoints: id, status, types, URL, and why one that fails does.

    Example: webhook endpoints list --status error
    """
    request = Client.list_endpoints(tenant=tenant, status=status, limit=limit, cursor=cursor)
    service.list(request, _row, "There are none. `webhook endpoints add URL` makes one.")


def _row(endpoint: Endpoint) -> Row:
    types = ",".join(endpoint.event_types)
    told = f"  ({trouble})" if (trouble := trouble_of(endpoint)) else ""
    return Row(endpoint.id, [endpoint.status.value, types], f"{endpoint.url}{told}")


def trouble_of(endpoint: Endpoint) -> str | None:
    """Say how an endpoint fails, None if it does not."""
    health = endpoint.health
    if not health.failures:
        return None
    since = f" since {exact(health.failing_since)}" if health.failing_since else ""
    waits = f", tried again at {exact(health.open_until)}" if health.open_until else ""
    return f"{health.failures} failures in a row{since}{waits}"


def add_endpoint(
    service: Service,
    *,
    receiver: Annotated[str, typer.Argument(metavar="URL", help="Where to send.")],
    types: _Types = None,
    tenant: Tenant = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", metavar="ID", help="Your own id for it.")
    ] = None,
    name: _Name = None,
    filters: _Filter = None,
    header: _Header = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", metavar="SECRET", help="As whsec_ + base64; made unless given."),
    ] = None,
    timeout_ms: _Timeout = None,
    rate: _Rate = None,
    concurrency: _Concurrency = None,
) -> None:
    """Add an endpoint and print its secret, which no list shows.

    Example: webhook endpoints add https://example.com/hook --types 'message.*'
    """
    request = Client.add_endpoint(
        receiver,
        event_types=_split(types) or ["*"],
        tenant=tenant,
        external_id=external_id,
        name=name,
        filters=_filters(filters),
        headers=pairs_of("--header", header) or None,
        secret=secret,
        timeout_ms=timeout_ms,
        rate_limit_per_second=rate,
        concurrency_max=concurrency,
    )

    def tell(endpoint: Endpoint) -> None:
        stdout().print(f"{endpoint.id}  {endpoint.url}")
        if endpoint.secret:
            stdout().print(f"{endpoint.secret}  is what its receiver verifies with")

    service.show(request, tell)


def get_endpoint(service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None) -> None:
    """Show an endpoint.

    Example: webhook endpoints get ep_01kav9ft0049jvk1h1090508xx
    """
    service.show(Client.get_endpoint(endpoint_id, tenant=tenant), _tell)


def _tell(endpoint: Endpoint) -> None:
    retry = endpoint.retry
    print_details(
        [
            ("id", endpoint.id),
            ("status", endpoint.status.value),
            ("fails", trouble_of(endpoint)),
            ("url", endpoint.url),
            ("types", ", ".join(endpoint.event_types)),
            ("tenant", endpoint.tenant),
            ("external id", endpoint.external_id),
            ("name", endpoint.name),
            ("description", endpoint.description),
            ("filters", "; ".join(f"{k} is {v}" for k, v in endpoint.filters.items())),
            ("headers", ", ".join(endpoint.header_names)),
            ("retry", None if retry is None else repr(retry)),
            ("timeout", None if endpoint.timeout_ms is None else f"{endpoint.timeout_ms} ms"),
            ("rate", endpoint.rate_limit_per_second),
            ("concurrency", endpoint.concurrency_max),
            ("signature", endpoint.signature),
            ("public key", endpoint.public_key),
            ("created", endpoint.created_at),
            ("updated", endpoint.updated_at),
        ]
    )


def edit_endpoint(
    service: Service,
    *,
    endpoint_id: _Id,
    new_url: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Send there from now on.")
    ] = None,
    types: _Types = None,
    name: _Name = None,
    filters: _Filter = None,
    header: _Header = None,
    timeout_ms: _Timeout = None,
    rate: _Rate = None,
    concurrency: _Concurrency = None,
    clear: Annotated[
        list[str] | None,
        typer.Option("--clear", metavar="FIELD", help="Take a field away; may be repeated."),
    ] = None,
    tenant: AnyTenant = None,
) -> None:
    """Change an endpoint; what is not given stays.

    Example: webhook endpoints edit ep_01kav9ft0049jvk1h1090508xx --rate 5
    """
    given: dict[str, Any] = {
        "url": new_url,
        "event_types": _split(types) or None,
        "name": name,
        "filters": _filters(filters),
        "headers": pairs_of("--header", header) or None,
        "timeout_ms": timeout_ms,
        "rate_limit_per_second": rate,
        "concurrency_max": concurrency,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    clearable = {"external_id", "description", "retry", *given} - {"url", "event_types"}
    for field in clear or ():
        if field.replace("-", "_") not in clearable:
            fail(f"--clear {field}: can be one of {', '.join(sorted(clearable))}.", ExitCode.USAGE)
        changes[field.replace("-", "_")] = None
    if not changes:
        fail("Say what to change; --help lists it.", ExitCode.USAGE)
    service.show(Client.update_endpoint(endpoint_id, tenant=tenant, **changes), _tell)


def pause_endpoint(service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None) -> None:
    """Pause an endpoint: what is pending waits, and new events pass it by.

    Example: webhook endpoints pause ep_01kav9ft0049jvk1h1090508xx
    """
    request = Client.update_endpoint(endpoint_id, tenant=tenant, active=False)
    more = f"`webhook replay --endpoint {endpoint_id} --missed --since ...` sends what it misses."
    service.show(request, told(f"{endpoint_id} is paused. {more}"))


def resume_endpoint(service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None) -> None:
    """Let an endpoint go on, also one that was disabled; its health begins anew.

    Example: webhook endpoints resume ep_01kav9ft0049jvk1h1090508xx
    """
    request = Client.update_endpoint(endpoint_id, tenant=tenant, active=True)
    service.show(request, told(f"{endpoint_id} is active."))


def remove_endpoint(
    service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None, yes: Yes = False
) -> None:
    """Remove an endpoint; what is pending for it is canceled.

    Example: webhook endpoints rm ep_01kav9ft0049jvk1h1090508xx --yes
    """
    confirm(f"Remove {endpoint_id} and cancel what is pending for it?", yes=yes)
    request = Client.remove_endpoint(endpoint_id, tenant=tenant)
    service.show(request, told(f"{endpoint_id} is removed."))


def probe_endpoint(service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None) -> None:
    """Send an endpoint one signed request and say what came of it.

    Ends with 1 if it failed.

    Example: webhook endpoints test ep_01kav9ft0049jvk1h1090508xx
    """

    def tell(probe: Probe) -> None:
        what = f"HTTP {probe.status_code}" if probe.success else probe.error
        stdout().print(f"{what} in {probe.latency_ms} ms")
        if probe.response:
            stdout().print(probe.response, style="dim")
        if not probe.success:
            raise typer.Exit(ExitCode.FAILED)

    service.show(Client.probe_endpoint(endpoint_id, tenant=tenant), tell)


def secret(service: Service, *, endpoint_id: _Id, tenant: AnyTenant = None) -> None:
    """Print what an endpoint's receiver verifies with; the audit log notes it.

    Example: webhook endpoints secret ep_01kav9ft0049jvk1h1090508xx
    """
    service.show(Client.get_secret(endpoint_id, tenant=tenant), _tell_secrets)


def rotate(
    service: Service,
    *,
    endpoint_id: _Id,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="SPAN", help="How long the old one signs too.")
    ] = "24h",
    tenant: AnyTenant = None,
) -> None:
    """Sign with a new secret, and for a while with the old one too.

    Example: webhook endpoints rotate ep_01kav9ft0049jvk1h1090508xx --overlap 2d
    """
    request = Client.rotate_secret(endpoint_id, tenant=tenant, overlap_s=_seconds(overlap))
    service.show(request, _tell_secrets)


def _tell_secrets(secrets: Secrets) -> None:
    if not secrets.live:
        stdout().print("The service's own secret signs: WEBHOOK_SECRET_KEY.")
    for one in secrets.live:
        until = "" if one.expires_at is None else f"  until {exact(one.expires_at)}"
        stdout().print(f"{one.secret or one.public_key}{until}")


def _seconds(span: str) -> int:
    amount, unit = span[:-1], span[-1:]
    sizes = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    if not (amount.isascii() and amount.isdigit() and unit in sizes):
        fail(f"--overlap: {span!r} is no span. Give 0s, 30m, 24h or 7d.", ExitCode.USAGE)
    return int(amount[:9]) * sizes[unit]


def _split(types: list[str] | None) -> list[str]:
    return [one.strip() for text in types or () for one in text.split(",") if one.strip()]


def _filters(pairs: list[str] | None) -> dict[str, list[str]] | None:
    if pairs is None:
        return None
    found = metadata_of("--filter", pairs)
    return {name: [v] if isinstance(v, str) else v for name, v in found.items()}


add(
    app,
    [
        ("list", list_endpoints),
        ("add", add_endpoint),
        ("get", get_endpoint),
        ("edit", edit_endpoint),
        ("pause", pause_endpoint),
        ("resume", resume_endpoint),
        ("rm", remove_endpoint),
        ("test", probe_endpoint),
        ("secret", secret),
        ("rotate", rotate),
    ],
)
