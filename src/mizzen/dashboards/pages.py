"""The dashboards: the mesh, a service, a workload, the control plane.

Rates are over Grafana's `$__rate_interval`. Of requests that both sides count the destination's count is shown, but for what the
destination cannot see (requests that never arrived) and for callers.
"""

from mizzen.dashboards.model import Dashboard, Panel, Query, Row, Variable

_OVER = "[$__rate_interval]"


def _rate(metric: str, selector: str, by: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum(rate({metric}{{{selector}}}{_OVER})){grouped}"


def _quantile(quantile: float, metric: str, selector: str) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', selector, 'le')})"


def _success(selector: str, by: str = "") -> str:
    """The share of requests that did not end with 5xx."""
    fine = _rate("istio_requests_total", f'{selector}, response_code!~"5.."', by)
    return f"{fine} / {_rate('istio_requests_total', selector, by)}"


def _requests(selector: str, by: str, legend: str) -> Panel:
    return Panel("Requests", (Query(_rate("istio_requests_total", selector, by), legend),), "reqps")


def _latency(selector: str) -> Panel:
    quantiles = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
    metric = "istio_request_duration_milliseconds"
    return Panel("Latency", tuple(Query(_quantile(q, metric, selector), name) for q, name in quantiles), "ms")


def _success_panel(selector: str, by: str = "", legend: str = "success") -> Panel:
    return Panel("Success (no 5xx)", (Query(_success(selector, by), legend),), "percentunit")


def _mutual(selector: str) -> Panel:
    return Panel(
        "Requests by mutual TLS",
        (Query(_rate("istio_requests_total", selector, "connection_security_policy"), ""),),
        "reqps",
    )


def _sizes(selector: str) -> Panel:
    return Panel(
        "Sizes of requests and responses, p90",
        (
            Query(_quantile(0.9, "istio_request_bytes", selector), "requests"),
            Query(_quantile(0.9, "istio_response_bytes", selector), "responses"),
        ),
        "bytes",
    )


def _tcp(selector: str, by: str = "", legend: str = "") -> tuple[Panel, ...]:
    name = f" {legend}" if legend else ""
    return (
        Panel(
            "TCP connections",
            (
                Query(_rate("istio_tcp_connections_opened_total", selector, by), f"opened{name}"),
                Query(_rate("istio_tcp_connections_closed_total", selector, by), f"closed{name}"),
            ),
            "cps",
            width=12,
        ),
        Panel(
            "TCP bytes",
            (
                Query(_rate("istio_tcp_received_bytes_total", selector, by), f"received{name}"),
                Query(_rate("istio_tcp_sent_bytes_total", selector, by), f"sent{name}"),
            ),
            "Bps",
            width=12,
        ),
    )


_DESTINATION = 'reporter="destination"'

MESH = Dashboard(
    uid="mizzen-mesh",
    title="Mizzen / Mesh",
    rows=(
        Row(
            "The mesh",
            (
                Panel(
                    "Requests",
                    (Query(_rate("istio_requests_total", _DESTINATION)),),
                    "reqps",
                    now=True,
                    width=6,
                ),
                Panel("Success (no 5xx)", (Query(_success(_DESTINATION)),), "percentunit", now=True, width=6),
                Panel(
                    "Requests with 4xx",
                    (Query(_rate("istio_requests_total", f'{_DESTINATION}, response_code=~"4.."')),),
                    "reqps",
                    now=True,
                    width=6,
                ),
                Panel(
                    "Requests in plaintext",
                    (
                        Query(
                            _rate(
                                "istio_requests_total", f'{_DESTINATION}, connection_security_policy="none"'
                            )
                        ),
                    ),
                    "reqps",
                    now=True,
                    width=6,
                ),
            ),
        ),
        Row(
            "HTTP and gRPC",
            (
                Panel(
                    "Requests by workload",
                    (
                        Query(
                            _rate(
                                "istio_requests_total",
                                _DESTINATION,
                                "destination_workload, destination_workload_namespace, destination_service",
                            )
                        ),
                    ),
                    "reqps",
                    now=True,
                    table=True,
                    width=12,
                ),
                Panel(
                    "Success by service",
                    (Query(_success(_DESTINATION, "destination_service")),),
                    "percentunit",
                    now=True,
                    table=True,
                    width=12,
                ),
                _requests(_DESTINATION, "destination_service", "{{destination_service}}"),
                _latency(_DESTINATION),
                _mutual(_DESTINATION),
            ),
        ),
        Row("TCP", _tcp(_DESTINATION, "destination_service", "{{destination_service}}")),
    ),
)

_OF_SERVICE = f'{_DESTINATION}, destination_service="$service"'
_BY_CALLERS = 'reporter="source", destination_service="$service"'

SERVICE = Dashboard(
    uid="mizzen-service",
    title="Mizzen / Service",
    variables=(
        Variable("service", "destination_service", 'istio_requests_total{reporter="destination"}'),
        Variable(
            "tcp_service", "destination_service", 'istio_tcp_connections_opened_total{reporter="destination"}'
        ),
    ),
    rows=(
        Row(
            "As the service's proxies see it",
            (
                _requests(_OF_SERVICE, "response_code", "{{response_code}}"),
                _success_panel(_OF_SERVICE),
                _latency(_OF_SERVICE),
                _sizes(_OF_SERVICE),
                _mutual(_OF_SERVICE),
                _requests(_OF_SERVICE, "destination_version", "{{destination_version}}"),
            ),
        ),
        Row(
            "Its callers",
            (
                Panel(
                    "Requests by caller",
                    (
                        Query(
                            _rate(
                                "istio_requests_total",
                                _OF_SERVICE,
                                "source_workload, source_workload_namespace",
                            ),
                            "{{source_workload}}.{{source_workload_namespace}}",
                        ),
                    ),
                    "reqps",
                ),
                Panel(
                    "Success as its callers see it",
                    (Query(_success(_BY_CALLERS, "source_workload"), "{{source_workload}}"),),
                    "percentunit",
                ),
                Panel(
                    "Requests by identity",
                    (
                        Query(
                            _rate("istio_requests_total", _OF_SERVICE, "source_principal"),
                            "{{source_principal}}",
                        ),
                    ),
                    "reqps",
                ),
            ),
        ),
        Row("TCP", _tcp(f'{_DESTINATION}, destination_service="$tcp_service"')),
    ),
)

_INBOUND = f'{_DESTINATION}, destination_workload_namespace="$namespace", destination_workload="$workload"'
_OUTBOUND = 'reporter="source", source_workload_namespace="$namespace", source_workload="$caller"'

WORKLOAD = Dashboard(
    uid="mizzen-workload",
    title="Mizzen / Workload",
    variables=(
        Variable(
            "namespace", "destination_workload_namespace", 'istio_requests_total{reporter="destination"}'
        ),
        Variable(
            "workload",
            "destination_workload",
            'istio_requests_total{reporter="destination", destination_workload_namespace="$namespace"}',
        ),
        Variable(
            "caller",
            "source_workload",
            'istio_requests_total{reporter="source", source_workload_namespace="$namespace"}',
        ),
    ),
    rows=(
        Row(
            "What it is asked",
            (
                _requests(_INBOUND, "response_code", "{{response_code}}"),
                _success_panel(_INBOUND),
                _latency(_INBOUND),
                Panel(
                    "Requests by caller",
                    (
                        Query(
                            _rate("istio_requests_total", _INBOUND, "source_workload, source_principal"),
                            "{{source_workload}}",
                        ),
                    ),
                    "reqps",
                ),
                _mutual(_INBOUND),
                _sizes(_INBOUND),
            ),
        ),
        Row(
            "What it asks",
            (
                _requests(_OUTBOUND, "destination_service", "{{destination_service}}"),
                _success_panel(_OUTBOUND, "destination_service", "{{destination_service}}"),
                _latency(_OUTBOUND),
            ),
        ),
        Row(
            "Its proxy and agent",
            (
                Panel(
                    "Ready proxies",
                    (Query("sum(mizzen_agent_ready)", "ready"),),
                    now=True,
                ),
                Panel(
                    "Certificates: the next ends in",
                    (
                        Query(
                            "min(mizzen_agent_certificate_expiry_timestamp_seconds > 0) - time()", "seconds"
                        ),
                    ),
                    "s",
                    now=True,
                ),
                Panel(
                    "Memory of agents",
                    (Query("sum(mizzen_agent_resident_memory_bytes)", "agents"),),
                    "bytes",
                    now=True,
                ),
            ),
        ),
    ),
)

CONTROL_PLANE = Dashboard(
    uid="mizzen-control-plane",
    title="Mizzen / Control plane",
    rows=(
        Row(
            "Delivery",
            (
                Panel("Connected proxies", (Query("sum(pilot_xds)"),), now=True, width=6),
                Panel(
                    "From change to ACK, p99",
                    (
                        Query(
                            f"histogram_quantile(0.99, sum(rate(pilot_proxy_convergence_time_bucket{_OVER})) by (le))",
                            "p99",
                        ),
                        Query(
                            f"histogram_quantile(0.5, sum(rate(pilot_proxy_convergence_time_bucket{_OVER})) by (le))",
                            "p50",
                        ),
                    ),
                    "s",
                    width=9,
                ),
                Panel(
                    "Pushes by type",
                    (Query(f"sum(rate(pilot_xds_pushes_total{_OVER})) by (type)", "{{type}}"),),
                    "ops",
                    width=9,
                ),
                Panel(
                    "Pushes by reason",
                    (Query(f"sum(rate(pilot_push_triggers_total{_OVER})) by (type)", "{{type}}"),),
                    "ops",
                ),
                Panel(
                    "Bytes sent",
                    (Query(f"sum(rate(mizzen_xds_sent_bytes_total{_OVER})) by (type)", "{{type}}"),),
                    "Bps",
                ),
                Panel(
                    "Refused by proxies",
                    (Query("sum(mizzen_xds_refused) by (type) or vector(0)", "{{type}}"),),
                ),
            ),
        ),
        Row(
            "Work",
            (
                Panel("Changes that wait", (Query("sum(mizzen_waiting_changes)", "changes"),)),
                Panel("Proxies that wait", (Query("sum(mizzen_waiting_proxies)", "proxies"),)),
                Panel(
                    "Queries run",
                    (Query(f"sum(rate(mizzen_query_runs_total{_OVER}))", "queries"),),
                    "ops",
                ),
                Panel(
                    "Memory", (Query('process_resident_memory_bytes{job="mizzen"}', "{{instance}}"),), "bytes"
                ),
                Panel(
                    "CPU",
                    (Query(f'rate(process_cpu_seconds_total{{job="mizzen"}}{_OVER})', "{{instance}}"),),
                    "percentunit",
                ),
                Panel(
                    "Diagnostics of the configuration",
                    (Query("sum(mizzen_config_diagnostics) by (severity)", "{{severity}}"),),
                ),
            ),
        ),
        Row(
            "Certificates",
            (
                Panel(
                    "CA: ends in",
                    (Query("min(mizzen_ca_expiry_timestamp_seconds) - time()", "seconds"),),
                    "s",
                    now=True,
                ),
                Panel(
                    "Certificates issued",
                    (Query(f"sum(rate(citadel_server_success_cert_issuance_count_total{_OVER}))", "issued"),),
                    "ops",
                ),
            ),
        ),
    ),
)

DASHBOARDS = (MESH, SERVICE, WORKLOAD, CONTROL_PLANE)
