"""What the daemon tells whoever starts a proxy: the settings that Envoy must have from its first moment on."""

from collections.abc import Iterator

from mizzen.admin.schema import ProxyStart
from mizzen.config.types.mesh import MeshConfig
from mizzen.config.types.message import Duration
from mizzen.config.types.proxy import InboundInterceptionMode, ProxyConfig, ProxyStatsMatcher


def proxy_start(mesh: MeshConfig, config: ProxyConfig) -> ProxyStart:
    """Of one workload, whose settings are `config`."""
    defaults = ProxyConfig()
    connections = config.connection_settings
    return ProxyStart(
        concurrency=config.concurrency,
        environment=dict(config.proxy_metadata),
        listener_drain_seconds=_unless(config.drain_duration, defaults.drain_duration),
        drain_seconds=_unless(config.termination_drain_duration, defaults.termination_drain_duration),
        statistics=tuple(_patterns(config.proxy_stats_matcher)),
        runtime=dict(config.runtime_values),
        max_connections=connections.global_downstream_connection_limit if connections else None,
        outbound_port=_other(mesh.proxy_listen_port, MeshConfig().proxy_listen_port),
        inbound_port=_other(mesh.proxy_inbound_listen_port, MeshConfig().proxy_inbound_listen_port),
        interception="TPROXY" if config.interception_mode is InboundInterceptionMode.TPROXY else None,
        hold_application=bool(config.hold_application_until_proxy_starts),
        merge_metrics=mesh.enable_prometheus_merge,
    )


def _other(given: int, default: int) -> int | None:
    return None if given == default else given


def _unless(given: Duration, default: Duration) -> float | None:
    return None if given == default else given.total_seconds()


def _patterns(matcher: ProxyStatsMatcher | None) -> Iterator[str]:
    if matcher is not None:
        yield from (f"prefix={text}" for text in matcher.inclusion_prefixes)
        yield from (f"suffix={text}" for text in matcher.inclusion_suffixes)
        yield from (f"regex={text}" for text in matcher.inclusion_regexps)
