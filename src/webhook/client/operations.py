"""The methods that both clients have, of the names of the API's operations."""

from __future__ import annotations

from webhook.client.calls import deliveries, endpoints, events, service
from webhook.client.operation import Listing, Operation


class Operations:
    """Everything that the API offers."""

    emit = Operation(events.emit)
    emit_many = Operation(events.emit_many)
    list_events = Listing(events.list_events)
    get_event = Operation(events.get_event)
    list_event_deliveries = Listing(events.list_event_deliveries)
    erase_payload = Operation(events.erase_payload)

    add_endpoint = Operation(endpoints.add_endpoint)
    add_endpoints = Operation(endpoints.add_endpoints)
    list_endpoints = Listing(endpoints.list_endpoints)
    get_endpoint = Operation(endpoints.get_endpoint)
    update_endpoint = Operation(endpoints.update_endpoint)
    remove_endpoint = Operation(endpoints.remove_endpoint)
    probe_endpoint = Operation(endpoints.probe_endpoint)
    get_secret = Operation(endpoints.get_secret)
    rotate_secret = Operation(endpoints.rotate_secret)
    recover_endpoint = Operation(endpoints.recover_endpoint)
    count_recoverable = Operation(endpoints.count_recoverable)

    list_deliveries = Listing(deliveries.list_deliveries)
    get_delivery = Operation(deliveries.get_delivery)
    replay_delivery = Operation(deliveries.replay_delivery)
    cancel_delivery = Operation(deliveries.cancel_delivery)
    replay_deliveries = Operation(deliveries.replay_deliveries)
    count_replayable = Operation(deliveries.count_replayable)
    list_recoveries = Listing(deliveries.list_recoveries)
    get_recovery = Operation(deliveries.get_recovery)
    cancel_recovery = Operation(deliveries.cancel_recovery)

    list_event_types = Operation(service.list_event_types)
    get_sending = Operation(service.get_sending)
    pause_sending = Operation(service.pause_sending)
    resume_sending = Operation(service.resume_sending)
    create_token = Operation(service.create_token)
    list_tokens = Listing(service.list_tokens)
    revoke_token = Operation(service.revoke_token)
    get_tenant = Operation(service.get_tenant)
    delete_tenant = Operation(service.delete_tenant)
    list_audit = Listing(service.list_audit)
    health = Operation(service.health)
    get_openapi = Operation(service.get_openapi)
