"""Kubernetes core/v1: Service.

Fields that only a Kubernetes cluster acts on are read, kept and left to the cluster.
"""

from enum import Enum

from msgspec import field

from mizzen.config.types.message import Int32, Message
from mizzen.frozen import EMPTY, FrozenMap


class ServiceType(Enum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


class Protocol(Enum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class ServicePort(Message):
    port: Int32  # 1 to 65535
    name: str = ""  # needed where there are several; a prefix such as "http-" names the protocol
    protocol: Protocol = Protocol.TCP  # above IP
    app_protocol: str = ""  # the protocol above TCP; wins over the name
    target_port: int | str | None = None  # the workload's port, by number or name; None: port
    node_port: Int32 = 0  # on every node, for NodePort and LoadBalancer; 0: allocated


class ClientIPConfig(Message):
    timeout_seconds: Int32 | None = None  # None: 10,800


class SessionAffinityConfig(Message):
    client_ip: ClientIPConfig | None = field(default=None, name="clientIP")  # for ClientIP


class ServiceSpec(Message):
    ports: tuple[ServicePort, ...] = ()  # several need names
    selector: FrozenMap[str, str] = EMPTY  # labels of the workloads behind it; EMPTY: none
    cluster_ip: str = field(default="", name="clusterIP")  # "": allocated; "None": headless
    cluster_ips: tuple[str, ...] = field(
        default=(), name="clusterIPs"
    )  # with cluster_ip first: one an IP family
    type: ServiceType = ServiceType.CLUSTER_IP  # how far the service reaches
    external_ips: tuple[str, ...] = field(
        default=(), name="externalIPs"
    )  # further addresses of nodes that lead to it
    external_name: str = ""  # the host behind an ExternalName service
    session_affinity: str = ""  # None or ClientIP
    session_affinity_config: SessionAffinityConfig | None = None  # how long a client stays; None: 3 h
    load_balancer_ip: str = field(
        default="", name="loadBalancerIP"
    )  # deprecated: the address that is asked for
    load_balancer_source_ranges: tuple[str, ...] = ()  # CIDR blocks of clients; (): all
    load_balancer_class: str = ""  # who makes the load balancer; "": the cloud
    external_traffic_policy: str = ""  # Cluster or Local
    internal_traffic_policy: str = ""  # Cluster or Local
    health_check_node_port: Int32 = 0  # for externalTrafficPolicy Local; 0: allocated
    publish_not_ready_addresses: bool = False  # DNS and endpoints tell of workloads that are not ready, too
    ip_families: tuple[str, ...] = ()  # IPv4, IPv6
    ip_family_policy: str = ""  # SingleStack, PreferDualStack, RequireDualStack
    allocate_load_balancer_node_ports: bool | None = None  # None: True
    traffic_distribution: str = ""  # PreferClose and its kin
    topology_keys: tuple[str, ...] = ()  # removed from Kubernetes


Service = ServiceSpec
"""A Resource's spec for kind Service."""
