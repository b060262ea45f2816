"""``WebhookConfig``: how the service delivers. Each option has its sentence where it is defined."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from webhook.domain.errors import ConfigError, InvalidInput
from webhook.domain.event_types import type_problem
from webhook.domain.headers import is_reserved, name_problem
from webhook.domain.host_lists import read_hosts
from webhook.domain.retry import CAP_MS, MULTIPLIER, RetryPolicy
from webhook.domain.secret import secret_bytes
from webhook.domain.url_rules import UrlRules, check_url

TIMEOUT_MS_MAX = 30_000
SETTLE_MARGIN_MS = 5_000
# What a claim itself may take out of its lease.
CLAIM_MARGIN_MS = 5_000
LEASE_MS_MIN = TIMEOUT_MS_MAX + SETTLE_MARGIN_MS + CLAIM_MARGIN_MS
JITTER_DEFAULT = 0.2
_OF_KMSG = {
    "algorithm": "sha256",
    "signature_header": "X-Webhook-Signature",
    "signature_prefix": None,
}


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are signed, sent and tried again. Every option has a sensible default.

    Raises ``ConfigError``, naming the option, when one is out of range or contradicts another.
    """

    max_retries: Annotated[
        int | None,
        Meta(description="Retries after the first attempt; None is as many as there are waits."),
    ] = None
    retry_delay_ms: Annotated[
        int | None,
        Meta(description="Wait before the first retry; setting it chooses exponential back-off."),
    ] = None
    backoff_multiplier: Annotated[
        float, Meta(description="With exponential back-off each wait is this many times the last.")
    ] = MULTIPLIER
    max_delay_ms: Annotated[
        int, Meta(description="With exponential back-off no wait is longer than this.")
    ] = CAP_MS
    jitter: Annotated[
        float | bool,
        Meta(description="Share by which waits vary: True is 0.2 (+-20 %), False is none."),
    ] = True
    retry_schedule_s: Annotated[
        tuple[float, ...] | None,
        Meta(description="Seconds before each retry; None is 5 s to 24 h in nine steps."),
    ] = None
    transient_only: Annotated[
        bool, Meta(description="Retry only 408, 429, 5xx and network errors; others fail at once.")
    ] = False
    timeout_ms: Annotated[
        int, Meta(description="Deadline of one attempt over connect, headers and body.")
    ] = 15_000
    enable_security: Annotated[
        bool, Meta(description="Sign requests; False sends them unsigned, even with a secret.")
    ] = True
    secret_key: Annotated[
        str | None,
        Meta(description="Secret of the endpoints that have none; None makes one for each."),
    ] = None
    scheme: Annotated[
        Literal["standard", "k-msg"],
        Meta(description="Headers: Standard Webhooks, or the older X-Webhook-* of k-msg."),
    ] = "standard"
    algorithm: Annotated[
        Literal["sha256", "sha1"], Meta(description="HMAC of the k-msg scheme.")
    ] = "sha256"
    signature_header: Annotated[
        str, Meta(description="Name of the k-msg scheme's signature header.")
    ] = "X-Webhook-Signature"
    signature_prefix: Annotated[
        str | None,
        Meta(description="Text before the k-msg signature; None is the algorithm's, '' is none."),
    ] = None
    enabled_events: Annotated[
        tuple[str, ...] | None,
        Meta(description="Types that are delivered; None is all. Others are kept, sent to nobody."),
    ] = None
    check_payloads: Annotated[
        Literal["off", "warn", "refuse"],
        Meta(
            description="Whether the data of the built-in event types is held to its schema when "
            "an event is accepted, and what becomes of one that does not fit."
        ),
    ] = "off"
    batch_size: Annotated[int, Meta(description="Most deliveries that one claim takes.")] = 100
    batch_timeout_ms: Annotated[
        int, Meta(description="Longest the background loop waits before it looks for due work.")
    ] = 5_000
    concurrency: Annotated[int, Meta(description="Most attempts under way at once.")] = 64
    lease_ms: Annotated[
        int, Meta(description="How long a claim lasts; longer than any timeout and its settle.")
    ] = 45_000
    retention_days: Annotated[
        float, Meta(description="How long events and their ended deliveries are kept.")
    ] = 30.0
    payload_days: Annotated[
        float | None,
        Meta(
            description="How long payloads, and responses to them, are kept; None is as long as "
            "their events. What is pending is kept whatever its age."
        ),
    ] = None
    pending_days: Annotated[
        float,
        Meta(
            description="How long a delivery may be pending before it is canceled; meanwhile its "
            "event is kept, whatever retention_days says."
        ),
    ] = 30.0
    audit_days: Annotated[
        float, Meta(description="How long entries of the audit log are kept.")
    ] = 365.0
    endpoints_per_tenant: Annotated[
        int, Meta(description="Most endpoints that a tenant may have.")
    ] = 10_000
    allow_private_hosts: Annotated[
        bool, Meta(description="Let endpoints be on private and loopback addresses.")
    ] = False
    allow_http: Annotated[bool, Meta(description="Let endpoints use http without TLS.")] = False
    allow_http_for_localhost: Annotated[
        bool,
        Meta(
            description="Let endpoints on localhost, 127.0.0.1 and [::1] use http; that these are "
            "private hosts is for allow_private_hosts or allow_hosts to allow."
        ),
    ] = False
    allow_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Private hosts that endpoints may have all the same: names, *.names, "
            "addresses and networks."
        ),
    ] = ()
    deny_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Hosts that no endpoint may have, whatever is allowed; the same forms."),
    ] = ()
    proxy_from_env: Annotated[
        bool,
        Meta(description="Send through HTTPS_PROXY and HTTP_PROXY; then they check addresses."),
    ] = False
    dns_over_https: Annotated[
        str | None,
        Meta(description="URL of a resolver (RFC 8484) that a Worker asks before it sends."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what cannot work, with the option's name."""
        if (problem := self.retry_policy.problem(schedule="retry_schedule_s")) is not None:
            field, detail = problem
            message = f"{'retry_schedule_s' if field == 'schedule_s' else field}: {detail}"
            raise ConfigError(message)
        _within("timeout_ms", self.timeout_ms, 1, TIMEOUT_MS_MAX)
        _within("batch_size", self.batch_size, 1, 100)
        _within("batch_timeout_ms", self.batch_timeout_ms, 1, 3_600_000)
        _within("concurrency", self.concurrency, 1, 10_000)
        _within("lease_ms", self.lease_ms, LEASE_MS_MIN, 900_000)
        _within("retention_days", self.retention_days, 1, 36_500)
        _within("payload_days", self.payload_days, 1, 36_500)
        if self.payload_days is not None and self.payload_days > self.retention_days:
            message = (
                f"payload_days: {self.payload_days:g} is longer than events are kept; set it to at "
                f"most retention_days, which is {self.retention_days:g}, or raise that."
            )
            raise ConfigError(message)
        _within("pending_days", self.pending_days, 1, 36_500)
        _within("audit_days", self.audit_days, 1, 36_500)
        _within("endpoints_per_tenant", self.endpoints_per_tenant, 1, 1_000_000)
        for name in self.enabled_events or ():
            if wrong := type_problem(name):
                message = f"enabled_events: {name!r}: {wrong}"
                raise ConfigError(message)
        for option in ("allow_hosts", "deny_hosts"):
            try:
                read_hosts(getattr(self, option))
            except ValueError as error:
                message = f"{option}: {error}"
                raise ConfigError(message) from None
        if self.dns_over_https is not None:
            try:
                check_url(
                    self.dns_over_https,
                    UrlRules(allow_private_hosts=True, allow_http=self.allow_http),
                )
            except InvalidInput as error:
                message = f"dns_over_https: {error.errors[0].detail}"
                raise ConfigError(message) from None
        self._check_scheme()
        self._check_secret()

    def _check_scheme(self) -> None:
        """Refuse what type checkers refuse too, for callers without one."""
        _one_of("check_payloads", self.check_payloads, ("off", "warn", "refuse"))
        _one_of("scheme", self.scheme, ("standard", "k-msg"))
        _one_of("algorithm", self.algorithm, ("sha256", "sha1"))
        name = self.signature_header
        problem = name_problem(name)
        if problem is None and name.lower() != "x-webhook-signature" and is_reserved(name):
            problem = f"{name} is reserved; choose another name."
        if problem is not None:
            message = f"signature_header: {problem}"
            raise ConfigError(message)
        prefix = self.signature_prefix or ""
        if not (prefix.isascii() and prefix.isprintable()):
            message = "signature_prefix: has printable ASCII characters only."
            raise ConfigError(message)
        if self.scheme == "standard":
            # Standard Webhooks leaves no choice, and what is ignored would pass for obeyed.
            for option, unset in _OF_KMSG.items():
                if getattr(self, option) != unset:
                    message = (
                        f"{option}: contradicts scheme, which is standard; set scheme to k-msg."
                    )
                    raise ConfigError(message)

    def _check_secret(self) -> None:
        if self.secret_key is None:
            return
        if self.secret_key == "":
            message = "secret_key: an empty secret signs nothing; leave it out instead."
            raise ConfigError(message)
        if self.scheme == "standard":
            try:
                secret_bytes(self.secret_key)
            except ValueError as error:
                message = f"secret_key: {error}"
                raise ConfigError(message) from None

    def __repr__(self) -> str:
        """Hide the secret from logs."""
        return f"WebhookConfig(scheme={self.scheme!r}, timeout_ms={self.timeout_ms})"

    @property
    def url_rules(self) -> UrlRules:
        """What endpoints' URLs are held to: at registration, and before every attempt."""
        return UrlRules(
            allow_private_hosts=self.allow_private_hosts,
            allow_http=self.allow_http,
            allow_http_for_localhost=self.allow_http_for_localhost,
            allow_hosts=self.allow_hosts,
            deny_hosts=self.deny_hosts,
        )

    @property
    def retry_policy(self) -> RetryPolicy:
        """The policy of endpoints that have none of their own."""
        share = JITTER_DEFAULT if self.jitter is True else float(self.jitter)
        return RetryPolicy(
            schedule_s=self.retry_schedule_s,
            max_retries=self.max_retries,
            retry_delay_ms=self.retry_delay_ms,
            backoff_multiplier=self.backoff_multiplier,
            max_delay_ms=self.max_delay_ms,
            jitter=share,
            transient_only=self.transient_only,
        )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        message = f"{name}: {value!r} is none of {', '.join(known)}."
        raise ConfigError(message)


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        message = f"{name}: {value} is not between {low} and {high}."
        raise ConfigError(message)
