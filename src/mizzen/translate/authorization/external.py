"""External authorization: AuthorizationPolicies with the action CUSTOM ask a service, over HTTP or gRPC.

An RBAC filter that enforces nothing marks what the policies of a provider select, in the metadata of the request or
connection; the filter that asks looks at the mark. Source: Istio's CUSTOM action.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mizzen.config.types.providers import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
)
from mizzen.derive.providers import extension_provider, provider_service
from mizzen.incremental import Database, query
from mizzen.model.service import ServiceRef
from mizzen.proto.api import HttpExtAuthz, NetworkExtAuthz
from mizzen.translate.built import encode
from mizzen.translate.provider_services import cluster_of, grpc_service

MARK_PREFIX = "istio_ext_authz_"
"""Of the metadata in which an RBAC filter leaves the policy that selected a request."""

_MARK = f"{MARK_PREFIX}shadow_effective_policy_id"
_POLICY_PREFIX = "istio-ext-authz"
_TIMEOUT = timedelta(minutes=10)
_FORBIDDEN = 403

_Provider = EnvoyExternalAuthorizationHttpProvider | EnvoyExternalAuthorizationGrpcProvider


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A service that is asked, and the filters that ask it, serialised. `stream` is None where it speaks HTTP alone."""

    service: ServiceRef
    port: int
    http: bytes
    stream: bytes | None


def policy_prefix(provider: str) -> str:
    """What the names of a provider's policies begin with. (Istio's)"""
    return f"{_POLICY_PREFIX}-{provider}"


@query
def authorizer(db: Database, name: str) -> Authorizer | None:
    """The external authorizer of a provider; None where there is no such provider or its service is not known."""
    provider = extension_provider(db, name)
    settings = (provider.envoy_ext_authz_http or provider.envoy_ext_authz_grpc) if provider else None
    if settings is None:
        return None
    found = provider_service(db, settings.service, settings.port)
    if found is None:
        return None
    cluster = cluster_of(found.host, settings.port)
    common: dict[str, Any] = {
        "failure_mode_allow": settings.fail_open,
        "transport_api_version": "V3",
    }
    if isinstance(settings, EnvoyExternalAuthorizationHttpProvider):
        asking = _http_service(settings, found.host, cluster)
        return Authorizer(found, settings.port, _http_filter(name, settings, {**common, **asking}), None)
    grpc: dict[str, Any] = {
        "grpc_service": {
            **grpc_service(found.host, settings.port),
            "timeout": settings.timeout or _TIMEOUT,
        }
    }
    stream = NetworkExtAuthz(
        stat_prefix="tcp.",
        filter_enabled_metadata=_marked(name, "envoy.filters.network.rbac"),
        **common,
        **grpc,
    )
    return Authorizer(found, settings.port, _http_filter(name, settings, {**common, **grpc}), encode(stream))


def _http_filter(name: str, settings: _Provider, asking: dict[str, Any]) -> bytes:
    made = HttpExtAuthz(
        clear_route_cache=settings.clear_route_cache,
        status_on_error={"code": int(settings.status_on_error or _FORBIDDEN)},
        filter_enabled_metadata=_marked(name, "envoy.filters.http.rbac"),
        **asking,
    )
    if settings.include_request_body_in_check is not None:
        made.with_request_body.CopyFrom(_body(settings.include_request_body_in_check))
    return encode(made)


def _body(settings: EnvoyExternalAuthorizationRequestBody) -> Any:
    return HttpExtAuthz(
        with_request_body={
            "max_request_bytes": settings.max_request_bytes,
            "allow_partial_message": settings.allow_partial_message,
            "pack_as_bytes": settings.pack_as_bytes,
        }
    ).with_request_body


def _marked(name: str, by: str) -> dict[str, Any]:
    """Asks about nothing that no policy of the provider selected."""
    path = [{"key": _MARK}]
    return {"filter": by, "path": path, "value": {"string_match": {"prefix": policy_prefix(name)}}}


def _http_service(
    settings: EnvoyExternalAuthorizationHttpProvider, host: str, cluster: str
) -> dict[str, Any]:
    service: dict[str, Any] = {
        "server_uri": {"uri": f"http://{host}", "cluster": cluster, "timeout": settings.timeout or _TIMEOUT},
        "path_prefix": settings.path_prefix,
    }
    if settings.include_additional_headers_in_check:
        added = sorted(settings.include_additional_headers_in_check.items())
        headers = [{"key": key, "value": value} for key, value in added]
        service["authorization_request"] = {"headers_to_add": headers}
    answer = {
        "allowed_upstream_headers": settings.headers_to_upstream_on_allow,
        "allowed_client_headers": settings.headers_to_downstream_on_deny,
        "allowed_client_headers_on_success": settings.headers_to_downstream_on_allow,
    }
    allowed = {field: _names(patterns) for field, patterns in answer.items() if patterns}
    if allowed:
        service["authorization_response"] = allowed
    made: dict[str, Any] = {"http_service": service}
    asked = settings.include_request_headers_in_check or settings.include_headers_in_check
    if asked:
        made["allowed_headers"] = _names(asked)
    return made


def _names(patterns: Sequence[str]) -> dict[str, Any]:
    """Names of headers: exact, "prefix*" or "*suffix", without regard to case."""
    return {"patterns": [_name(pattern) for pattern in patterns]}


def _name(pattern: str) -> dict[str, Any]:
    if pattern == "*":
        return {"safe_regex": {"regex": ".+"}}
    if pattern.startswith("*"):
        return {"suffix": pattern[1:], "ignore_case": True}
    if pattern.endswith("*"):
        return {"prefix": pattern[:-1], "ignore_case": True}
    return {"exact": pattern, "ignore_case": True}


def in_order(providers: Iterable[str]) -> list[str]:
    """By name: a name that another one begins with comes before it, so that its filter never sees the other's mark."""
    return sorted(set(providers))
