"""mesh.istio.io: MeshConfig, the settings of the whole mesh.

Of the API's settings these are typed; the others are known to config/support.py, which warns where one is set.
Defaults are the values that are in force where a document leaves a setting out.
"""

from enum import Enum

from mizzen.config.types.message import Duration, Int32, Message
from mizzen.config.types.networking import HTTPRetry
from mizzen.frozen import EMPTY, FrozenMap


class OutboundTrafficMode(Enum):
    """The API's MeshConfig.OutboundTrafficPolicy.Mode."""

    REGISTRY_ONLY = "REGISTRY_ONLY"  # what the registry does not know is refused
    ALLOW_ANY = "ALLOW_ANY"
    ALLOW_ANY_DYNAMIC_DNS = "ALLOW_ANY_DYNAMIC_DNS"


class OutboundTrafficPolicy(Message):
    mode: OutboundTrafficMode = OutboundTrafficMode.ALLOW_ANY


class AccessLogEncoding(Enum):
    TEXT = "TEXT"
    JSON = "JSON"


class ProxyConfig(Message):
    """Settings of every proxy."""

    concurrency: Int32 | None = None  # Envoy's worker threads; None: 2; 0: one per core
    drain_duration: Duration = Duration(seconds=45)  # how long old listeners drain
    termination_drain_duration: Duration = Duration(seconds=5)  # between SIGTERM and the end
    proxy_metadata: FrozenMap[str, str] = EMPTY
    hold_application_until_proxy_starts: bool | None = None
    status_port: Int32 = 15020


class MeshConfig(Message):
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()  # whose identities count as those of trust_domain
    root_namespace: str = "istio-system"  # policies there hold for all namespaces
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy()
    enable_auto_mtls: bool = True  # mTLS to every workload that has a sidecar, without a DestinationRule
    access_log_file: str = ""  # /dev/stdout; "": no access log
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT
    access_log_format: str = ""  # Envoy's format string, or a JSON object for JSON; "": Istio's default
    default_config: ProxyConfig = ProxyConfig()
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)
    connect_timeout: Duration = Duration(seconds=10)
    protocol_detection_timeout: Duration = Duration()  # 0: wait for the client to speak without limit
    default_http_retry_policy: HTTPRetry | None = None  # None: 2 attempts with Istio's conditions
