"""The dashboards: the mesh, a service, a workload, the control plane.

Rates are over Grafana's `$__rate_interval`. Of requests that both sides count the destination's count is shown, but for what the
destination cannot see (requests that never arrived) and for callers.
"""

from mizzen.dashboards.model import Dashboard, Panel, Query, Row, Variable

_OVER = "[$__rate_interval]"


def _rate(metric: str, selector: str = "", by: str = "") -> str:
    series = f"{metric}{{{selector}}}" if selector else metric
    grouped = f" by ({by})" if by else ""
    return f"sum(rate({series}{_OVER})){grouped}"


def _quantile(quantile: float, metric: str, selector: str = "") -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', selector, 'le')})"


def _success(selector: str, by: str = "") -> str:
    """The share of requests that did not end with 5xx."""
    fine = _rate("istio_requests_total", f'{selector}, response_code!~"5.."', by)
    return f"{fine} / {_rate('istio_requests_total', selector, by)}"


def _one(
    title: str,
    expression: str,
    legend: str = "",
    *,
    unit: str = "short",
    now: bool = False,
    table: bool = False,
    width: int = 8,
) -> Panel:
    """A panel of one query."""
    return Panel(title, (Query(expression, legend),), unit, now, table, width)


def _requests(selector: str, by: str, legend: str) -> Panel:
    return _one("Requests", _rate("istio_requests_total", selector, by), legend, unit="reqps")


def _latency(selector: str) -> Panel:
    quantiles = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
    metric = "istio_request_duration_milliseconds"
    return Panel("Latency", tuple(Query(_quantile(q, metric, selector), name) for q, name in quantiles), "ms")


def _success_panel(selector: str, by: str = "", legend: str = "success") -> Panel:
    return _one("Success (no 5xx)", _success(selector, by), legend, unit="percentunit")


def _mutual(selector: str) -> Panel:
    return _one(
        "Requests by mutual TLS",
        _rate("istio_requests_total", selector, "connection_security_policy"),
        unit="reqps",
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
                _one(
                    "Requests", _rate("istio_requests_total", _DESTINATION), unit="reqps", now=True, width=6
                ),
                _one("Success (no 5xx)", _success(_DESTINATION), unit="percentunit", now=True, width=6),
                _one(
                    "Requests with 4xx",
                    _rate("istio_requests_total", f'{_DESTINATION}, response_code=~"4.."'),
                    unit="reqps",
                    now=True,
                    width=6,
                ),
                _one(
                    "Requests in plaintext",
                    _rate("istio_requests_total", f'{_DESTINATION}, connection_security_policy="none"'),
                    unit="reqps",
                    now=True,
                    width=6,
                ),
            ),
        ),
        Row(
            "HTTP and gRPC",
            (
                _one(
                    "Requests by workload",
                    _rate(
                        "istio_requests_total",
                        _DESTINATION,
                        "destination_workload, destination_workload_namespace, destination_service",
                    ),
                    unit="reqps",
                    now=True,
                    table=True,
                    width=12,
                ),
                _one(
                    "Success by service",
                    _success(_DESTINATION, "destination_service"),
                    unit="percentunit",
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
                _one(
                    "Requests by caller",
                    _rate(
                        "istio_requests_total",
                        _OF_SERVICE,
                        "source_workload, source_workload_namespace",
                    ),
                    "{{source_workload}}.{{source_workload_namespace}}",
                    unit="reqps",
                ),
                _one(
                    "Success as its callers see it",
                    _success(_BY_CALLERS, "source_workload"),
                    "{{source_workload}}",
                    unit="percentunit",
                ),
                _one(
                    "Requests by identity",
                    _rate("istio_requests_total", _OF_SERVICE, "source_principal"),
                    "{{source_principal}}",
                    unit="reqps",
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
                _one(
                    "Requests by caller",
                    _rate("istio_requests_total", _INBOUND, "source_workload, source_principal"),
                    "{{source_workload}}",
                    unit="reqps",
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
                _one("Ready proxies", "sum(mizzen_agent_ready)", "ready", now=True),
                _one(
                    "Certificates: the next ends in",
                    "min(mizzen_agent_certificate_expiry_timestamp_seconds > 0) - time()",
                    "seconds",
                    unit="s",
                    now=True,
                ),
                _one(
                    "Memory of agents",
                    "sum(mizzen_agent_resident_memory_bytes)",
                    "agents",
                    unit="bytes",
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
                _one("Connected proxies", "sum(pilot_xds)", now=True, width=6),
                Panel(
                    "From change to ACK, p99",
                    (
                        Query(
                            _quantile(0.99, "pilot_proxy_convergence_time"),
                            "p99",
                        ),
                        Query(
                            _quantile(0.5, "pilot_proxy_convergence_time"),
                            "p50",
                        ),
                    ),
                    "s",
                    width=9,
                ),
                _one(
                    "Pushes by type",
                    _rate("pilot_xds_pushes_total", by="type"),
                    "{{type}}",
                    unit="ops",
                    width=9,
                ),
                _one(
                    "Pushes by reason", _rate("pilot_push_triggers_total", by="type"), "{{type}}", unit="ops"
                ),
                _one("Bytes sent", _rate("mizzen_xds_sent_bytes_total", by="type"), "{{type}}", unit="Bps"),
                _one("Refused by proxies", "sum(mizzen_xds_refused) by (type) or vector(0)", "{{type}}"),
            ),
        ),
        Row(
            "Work",
            (
                _one("Changes that wait", "sum(mizzen_waiting_changes)", "changes"),
                _one("Proxies that wait", "sum(mizzen_waiting_proxies)", "proxies"),
                _one("Queries run", _rate("mizzen_query_runs_total"), "queries", unit="ops"),
                _one("Memory", 'process_resident_memory_bytes{job="mizzen"}', "{{instance}}", unit="bytes"),
                _one(
                    "CPU",
                    f'rate(process_cpu_seconds_total{{job="mizzen"}}{_OVER})',
                    "{{instance}}",
                    unit="percentunit",
                ),
                _one(
                    "Diagnostics of the configuration",
                    "sum(mizzen_config_diagnostics) by (severity)",
                    "{{severity}}",
                ),
            ),
        ),
        Row(
            "Certificates",
            (
                _one(
                    "CA: ends in",
                    "min(mizzen_ca_expiry_timestamp_seconds) - time()",
                    "seconds",
                    unit="s",
                    now=True,
                ),
                _one(
                    "Certificates issued",
                    _rate("citadel_server_success_cert_issuance_count_total"),
                    "issued",
                    unit="ops",
                ),
            ),
        ),
    ),
)

DASHBOARDS = (MESH, SERVICE, WORKLOAD, CONTROL_PLANE)
