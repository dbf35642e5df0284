"""Kubernetes' kinds that the mesh reads besides Service (core.py): pods and what makes them, and what surrounds them.

These kinds have hundreds of fields that do not concern a mesh. Typed are those that it reads; all others are let through
unread, so a wrong name among them is not found here (the API server finds it). Of what Kubernetes reports in `status` only a
Pod's is read, which has its addresses.

Where a kind has a `spec`, that is a Resource's spec. Kinds without one (Secret, ConfigMap, EndpointSlice ...) are read whole:
the type holds the object's members beside metadata.
"""

from enum import Enum
from typing import Any

from msgspec import field

from mizzen.config.types.core import Protocol
from mizzen.config.types.mesh import LabelSelector
from mizzen.config.types.message import Int32, LenientMessage, SecretBytes, SecretText
from mizzen.config.types.metadata import ObjectMeta
from mizzen.frozen import EMPTY, FrozenMap

# --- pods -------------------------------------------------------------------------------------------------------


class ContainerPort(LenientMessage):
    container_port: Int32  # 1 to 65535
    name: str = ""  # that Services and probes may use
    protocol: Protocol = Protocol.TCP  # above IP
    host_port: Int32 = 0  # of the node; 0: none


class EnvVar(LenientMessage):
    name: str  # of the variable
    value: str = ""  # "": empty, or from elsewhere
    value_from: Any = None  # where the value comes from instead


class HTTPGetAction(LenientMessage):
    port: int | str  # by number or name
    path: str = ""  # "": /
    host: str = ""  # "": the pod's address
    scheme: str = ""  # HTTP or HTTPS; "": HTTP


class TCPSocketAction(LenientMessage):
    port: int | str  # by number or name
    host: str = ""  # "": the pod's address


class GRPCAction(LenientMessage):
    port: Int32  # of grpc.health.v1
    service: str = ""  # that is asked for; "": the whole server


class Probe(LenientMessage):
    http_get: HTTPGetAction | None = None  # asks by HTTP
    tcp_socket: TCPSocketAction | None = None  # connects
    grpc: GRPCAction | None = None  # asks by gRPC


class Container(LenientMessage):
    name: str = ""  # istio-proxy is the sidecar
    image: str = ""  # registry/name:tag
    args: tuple[str, ...] = ()  # of the process
    env: tuple[EnvVar, ...] = ()  # its environment
    ports: tuple[ContainerPort, ...] = ()  # for people and for ports by name
    readiness_probe: Probe | None = None  # may it get traffic; None: always
    liveness_probe: Probe | None = None  # must it be restarted; None: never
    startup_probe: Probe | None = None  # has it begun; None: at once
    restart_policy: str = ""  # Always makes an init container a sidecar
    security_context: FrozenMap[str, Any] = FrozenMap()  # uid, capabilities and so on


class PodSpec(LenientMessage):
    containers: tuple[Container, ...] = ()  # the application's, and the sidecar's where it was injected
    init_containers: tuple[Container, ...] = ()  # run before; with restartPolicy Always beside
    service_account_name: str = ""  # the pod's identity; "": default
    node_name: str = ""  # where it runs; "": not yet
    host_network: bool = False  # the node's addresses: no sidecar
    security_context: FrozenMap[str, Any] = FrozenMap()  # of all containers that say nothing else
    subdomain: str = ""  # with hostname: a DNS name under a headless Service
    hostname: str = ""  # "": the pod's name


class PodIP(LenientMessage):
    ip: str = ""  # IPv4 or IPv6


class PodCondition(LenientMessage):
    type: str = ""  # Ready is read
    status: str = ""  # True, False or Unknown


class PodStatus(LenientMessage):
    """What the platform reports of a Pod."""

    phase: str = ""  # Pending, Running, Succeeded, Failed or Unknown
    pod_ip: str = field(default="", name="podIP")  # the first of pod_ips
    pod_ips: tuple[PodIP, ...] = field(default=(), name="podIPs")  # one an IP family
    conditions: tuple[PodCondition, ...] = ()  # its health


class PodTemplateSpec(LenientMessage):
    """The pod that a Deployment or its kin makes."""

    metadata: ObjectMeta = ObjectMeta()  # labels and annotations of the pods
    spec: PodSpec = PodSpec()  # of the pods


# --- what makes pods --------------------------------------------------------------------------------------------


class WorkloadSpec(LenientMessage):
    """What makes pods of a template: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job."""

    template: PodTemplateSpec = PodTemplateSpec()  # of the pods
    selector: LabelSelector | None = None  # pods that belong to it
    replicas: Int32 | None = None  # None: 1


class DeploymentSpec(WorkloadSpec):
    """apps: Deployment."""


class ReplicaSetSpec(WorkloadSpec):
    """apps: ReplicaSet."""


class StatefulSetSpec(WorkloadSpec):
    """apps: StatefulSet."""

    service_name: str = ""  # headless Service that names its pods


class DaemonSetSpec(WorkloadSpec):
    """apps: DaemonSet."""


class JobSpec(WorkloadSpec):
    """batch: Job."""


class JobTemplateSpec(LenientMessage):
    metadata: ObjectMeta = ObjectMeta()  # of the jobs
    spec: JobSpec = JobSpec()  # of the jobs


class CronJobSpec(LenientMessage):
    """batch: CronJob."""

    job_template: JobTemplateSpec = JobTemplateSpec()  # of the jobs that it starts
    schedule: str = ""  # as in cron


class ReplicationControllerSpec(LenientMessage):
    """core: ReplicationController."""

    template: PodTemplateSpec = PodTemplateSpec()  # of the pods
    selector: FrozenMap[str, str] = EMPTY  # labels of pods that belong to it; EMPTY: the template's
    replicas: Int32 | None = None  # None: 1


# --- what surrounds them ----------------------------------------------------------------------------------------


class NodeSpec(LenientMessage):
    """core: Node. Locality and architecture are in its labels."""

    provider_id: str = field(default="", name="providerID")  # the cloud's name of it


class NamespaceSpec(LenientMessage):
    """core: Namespace. What the mesh asks of it is in its labels."""


class ServiceAccount(LenientMessage):
    """core: ServiceAccount. Read whole; its name is what identities are made of."""

    secrets: tuple[Any, ...] = ()  # tokens of old clusters
    image_pull_secrets: tuple[Any, ...] = ()  # for the images of its pods


class ConfigMap(LenientMessage):
    """core: ConfigMap. Read whole."""

    data: FrozenMap[str, str] = EMPTY  # file name -> text


class Secret(LenientMessage):
    """core: Secret. Read whole. Its values cannot be printed; config.credentials joins the two ways of writing them."""

    type: str = ""  # kubernetes.io/tls, Opaque and so on; "": Opaque
    data: FrozenMap[str, SecretBytes] = FrozenMap()  # name -> base64
    string_data: FrozenMap[str, SecretText] = FrozenMap()  # name -> text; wins over data


class IngressServiceBackendPort(LenientMessage):
    name: str = ""  # of the Service's port, or
    number: Int32 = 0  # its number


class IngressServiceBackend(LenientMessage):
    name: str = ""  # of the Service, in the same namespace
    port: IngressServiceBackendPort | None = None  # of the Service


class IngressBackend(LenientMessage):
    service: IngressServiceBackend | None = None  # None: some other object


class HTTPIngressPath(LenientMessage):
    path: str = ""  # "": /
    path_type: str = ""  # Exact, Prefix, ImplementationSpecific
    backend: IngressBackend | None = None  # where it leads


class HTTPIngressRuleValue(LenientMessage):
    paths: tuple[HTTPIngressPath, ...] = ()  # the longest that matches


class IngressRule(LenientMessage):
    host: str = ""  # "*.example.com" allowed; "": all
    http: HTTPIngressRuleValue | None = None  # None: the default backend


class IngressTLS(LenientMessage):
    hosts: tuple[str, ...] = ()  # in the certificate
    secret_name: str = ""  # with the certificate, in the same namespace


class IngressSpec(LenientMessage):
    """networking.k8s.io: Ingress."""

    ingress_class_name: str = ""  # which controller serves it; "": the default's or the annotation's
    default_backend: IngressBackend | None = None  # for what no rule matches
    rules: tuple[IngressRule, ...] = ()  # by host and path
    tls: tuple[IngressTLS, ...] = ()  # certificates; (): plain HTTP


class IngressClassSpec(LenientMessage):
    """networking.k8s.io: IngressClass."""

    controller: str = ""  # istio.io/ingress-controller is Istio's


# --- endpoints --------------------------------------------------------------------------------------------------


class AddressType(Enum):
    IPV4 = "IPv4"
    IPV6 = "IPv6"
    FQDN = "FQDN"


class EndpointConditions(LenientMessage):
    ready: bool | None = None  # gets traffic; None: True
    serving: bool | None = None  # answers, though it may be ending; None: as ready
    terminating: bool | None = None  # is ending; None: False


class ObjectReference(LenientMessage):
    kind: str = ""  # such as Pod
    namespace: str = ""  # "": that of the object which refers
    name: str = ""  # of the object


class Endpoint(LenientMessage):
    addresses: tuple[str, ...] = ()  # of one endpoint
    conditions: EndpointConditions = EndpointConditions()  # its health
    hostname: str = ""  # a DNS name under a headless Service
    target_ref: ObjectReference | None = None  # the pod
    node_name: str = ""  # where it runs
    zone: str = ""  # of the node


class EndpointPort(LenientMessage):
    name: str = ""  # of the Service's port
    protocol: Protocol = Protocol.TCP  # above IP
    port: Int32 | None = None  # of the endpoints; None: all
    app_protocol: str = ""  # above TCP


class EndpointSlice(LenientMessage):
    """discovery.k8s.io: EndpointSlice. Read whole; the label kubernetes.io/service-name names its Service."""

    address_type: AddressType = AddressType.IPV4  # of all its endpoints
    endpoints: tuple[Endpoint, ...] = ()  # any number
    ports: tuple[EndpointPort, ...] = ()  # of each endpoint


class EndpointAddress(LenientMessage):
    ip: str = ""  # IPv4 or IPv6
    hostname: str = ""  # a DNS name under a headless Service
    target_ref: ObjectReference | None = None  # the pod


class EndpointSubset(LenientMessage):
    addresses: tuple[EndpointAddress, ...] = ()  # that are ready
    not_ready_addresses: tuple[EndpointAddress, ...] = ()  # that are not
    ports: tuple[EndpointPort, ...] = ()  # of each address


class Endpoints(LenientMessage):
    """core: Endpoints, the older form of EndpointSlices. Read whole; it has its Service's name."""

    subsets: tuple[EndpointSubset, ...] = ()  # addresses with the same ports


# --- the API server's own ---------------------------------------------------------------------------------------


class ServiceReference(LenientMessage):
    name: str = ""  # of the webhook's Service
    namespace: str = ""  # of the webhook's Service
    path: str = ""  # "": /
    port: Int32 | None = None  # of the Service; None: 443


class WebhookClientConfig(LenientMessage):
    service: ServiceReference | None = None  # in the cluster, or
    url: str = ""  # anywhere
    ca_bundle: str = ""  # roots of the webhook's certificate, PEM in base64


class Webhook(LenientMessage):
    name: str = ""  # unique in the object
    client_config: WebhookClientConfig = WebhookClientConfig()  # where it is
    namespace_selector: LabelSelector | None = None  # of the objects' namespaces; None: all
    object_selector: LabelSelector | None = None  # of the objects; None: all
    failure_policy: str = ""  # Fail or Ignore; "": Fail
    admission_review_versions: tuple[str, ...] = ()  # that it understands


class WebhookConfiguration(LenientMessage):
    """admissionregistration.k8s.io. Read whole."""

    webhooks: tuple[Webhook, ...] = ()  # each for itself


class MutatingWebhookConfiguration(WebhookConfiguration):
    """Webhooks that change objects: injection is one."""


class ValidatingWebhookConfiguration(WebhookConfiguration):
    """Webhooks that refuse objects."""


class CustomResourceDefinitionVersion(LenientMessage):
    name: str = ""  # v1
    served: bool = False  # by the API server
    storage: bool = False  # in which objects are kept: one version


class CustomResourceDefinitionNames(LenientMessage):
    kind: str = ""  # VirtualService
    plural: str = ""  # virtualservices


class CustomResourceDefinitionSpec(LenientMessage):
    """apiextensions.k8s.io: CustomResourceDefinition."""

    group: str = ""  # of the API
    scope: str = ""  # Namespaced or Cluster
    names: CustomResourceDefinitionNames = CustomResourceDefinitionNames()  # of the kind
    versions: tuple[CustomResourceDefinitionVersion, ...] = ()  # of the kind
