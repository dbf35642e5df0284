"""Everything that Mizzen can say about configuration: one catalogue of codes, and the diagnostic that carries one.

Codes are stable. IST0xxx where the meaning is Istio's, MZ0xxx where it is Mizzen's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from mizzen.config.resource import Location, Path, ResourceKey, path_text


class Severity(Enum):
    """Where decoding or validation finds an error, the object is not taken in; its last good version stays in force.

    An error that analysis finds, between objects, keeps none of them out.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    severity: Severity
    title: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell the user. `message` says what is wrong, `hint` what to do about it here."""

    code: str
    message: str
    resource: ResourceKey | None = None
    path: Path = ()
    location: Location | None = None
    hint: str = ""

    @property
    def severity(self) -> Severity:
        return CATALOGUE[self.code].severity

    @property
    def advice(self) -> str:
        """What to do: for this case where that is known, else for the code."""
        return self.hint or CATALOGUE[self.code].what_to_do

    def __str__(self) -> str:
        """One line: place, severity, code, object and field, what is wrong, what to do."""
        place = f"{self.location}: " if self.location else ""
        field = path_text(self.path)
        subject = " ".join(part for part in (str(self.resource or ""), field) if part)
        text = f"{subject}: {self.message}" if subject else self.message
        return f"{place}{self.severity.value} {self.code}: {text}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic before its place is looked up. `path` starts at the top of the object: ("spec", "hosts", 0)."""

    code: str
    path: Path
    message: str
    hint: str = ""
    at_value: bool = False  # point to the value rather than to its key


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_CODES = (
    # texts and files
    Code("MZ0001", _ERROR, "Not valid YAML", "correct the YAML at this place"),
    Code("MZ0002", _ERROR, "Duplicate key", "keep one of the two"),
    Code("MZ0003", _ERROR, "Too large", "split it into smaller files or documents"),
    Code("MZ0004", _ERROR, "Not text", "save the file as UTF-8"),
    Code("MZ0005", _ERROR, "File cannot be read", "check that it exists and may be read"),
    Code("MZ0006", _WARNING, "Files are polled", "raise fs.inotify.max_user_watches and max_user_instances"),
    Code("MZ0007", _ERROR, "Object is defined twice", "remove or rename one of the two"),
    Code("MZ0008", _WARNING, "More problems", "correct those that are told, then look again"),
    # objects
    Code("MZ0010", _ERROR, "Not an object", "write a mapping with apiVersion, kind, metadata and spec"),
    Code("MZ0011", _ERROR, "Object is not identified", "give it apiVersion, kind and metadata.name"),
    Code(
        "MZ0012", _WARNING, "Kind is not read", "nothing is to be done: the object has no effect on this mesh"
    ),
    Code("MZ0013", _ERROR, "Unknown version of a kind", "use a version of the API that is served"),
    Code("MZ0014", _ERROR, "Unknown kind", "correct the kind or the apiVersion"),
    # fields
    Code("MZ0020", _ERROR, "Unknown field", "remove it or correct its name"),
    Code("MZ0021", _ERROR, "Wrong type", "write a value of the type that the API wants"),
    Code("MZ0022", _ERROR, "Unknown value", "use one of the values that the API knows"),
    Code("MZ0023", _ERROR, "Not a duration", 'write it as "10s", "1h30m", "0.5s" or "100ms"'),
    Code("MZ0024", _ERROR, "Field is missing", "add it"),
    Code("MZ0025", _ERROR, "Number out of range", "use a number that the API allows"),
    Code("MZ0026", _ERROR, "Text or list out of bounds", "use one that the API allows"),
    Code("IST0106", _ERROR, "Invalid configuration", "correct it"),
    Code("IST0133", _WARNING, "Questionable configuration", "check that this is what you mean"),
    # what the mesh does not do yet
    Code(
        "MZ0101",
        _WARNING,
        "Field has no effect yet",
        "remove it, or expect the mesh to behave as if it were absent",
    ),
    Code(
        "MZ0102",
        _WARNING,
        "Value has no effect yet",
        "use another value, or expect the mesh not to act on it",
    ),
    Code(
        "MZ0103",
        _WARNING,
        "Kind has no effect yet",
        "expect the mesh to behave as if the object were absent; analysis reads it all the same",
    ),
    # between objects (mizzen.analysis)
    Code("IST0001", _ERROR, "Analysis failed", "report it: this is a bug of Mizzen"),
    Code("IST0002", _WARNING, "Deprecated", "use what replaces it"),
    Code("IST0101", _ERROR, "What is referred to is not there", "create it or correct the name"),
    Code(
        "IST0102",
        _INFO,
        "Namespace without injection",
        "label the namespace istio-injection=enabled or disabled",
    ),
    Code("IST0103", _WARNING, "Pod without sidecar", "restart the Pod"),
    Code("IST0107", _WARNING, "Annotation on the wrong kind", "move it to the kind that it is for"),
    Code("IST0108", _WARNING, "Unknown annotation", "remove it or correct its name"),
    Code("IST0109", _ERROR, "Several VirtualServices for one host", "merge them into one"),
    Code("IST0110", _ERROR, "Several Sidecars for one workload", "let one Sidecar only select the workload"),
    Code(
        "IST0111", _ERROR, "Several Sidecars for a namespace", "keep one of them, or add a workloadSelector"
    ),
    Code("IST0112", _ERROR, "Destination needs a port", "name the port of the service"),
    Code(
        "IST0116", _WARNING, "Services disagree on a protocol", "give the port one protocol in all Services"
    ),
    Code(
        "IST0118",
        _INFO,
        "Port does not name its protocol",
        "set appProtocol, or begin the name with the protocol",
    ),
    Code("IST0123", _WARNING, "Contradicting injection labels", "keep one of them"),
    Code("IST0125", _WARNING, "Wrong value of an annotation", "correct the value"),
    Code(
        "IST0126", _ERROR, "Unknown registry in MeshNetworks", "correct the name, or add the cluster's secret"
    ),
    Code("IST0127", _WARNING, "Policy holds for no workload", "correct the selector or the namespace"),
    Code("IST0128", _WARNING, "Server is not verified", "set caCertificates"),
    Code("IST0129", _WARNING, "Server of a port is not verified", "set caCertificates"),
    Code("IST0130", _WARNING, "Rule is never reached", "remove it, or change its matches"),
    Code("IST0131", _INFO, "Match has no effect", "remove it, or move its rule up"),
    Code("IST0132", _WARNING, "Gateway does not take the host", "add the host to a server of the gateway"),
    Code("IST0134", _WARNING, "TCP without addresses", "add addresses"),
    Code("IST0135", _INFO, "Deprecated annotation", "use what replaces it"),
    Code("IST0136", _INFO, "Alpha annotation", "expect that it may change"),
    Code("IST0137", _WARNING, "Services disagree on a port's number", "give it one number in all Services"),
    Code("IST0138", _WARNING, "Gateways share a certificate", "put the hosts into one Gateway"),
    Code("IST0139", _ERROR, "Webhook cannot work", "correct its selectors or its Service"),
    Code(
        "IST0140",
        _WARNING,
        "Subsets have no effect at a gateway",
        "name the subset in the gateway's VirtualService",
    ),
    Code("IST0144", _WARNING, "Application runs as the proxy's user", "use another user ID than 1337"),
    Code("IST0145", _ERROR, "Gateways clash", "merge the servers, or tell the hosts apart"),
    Code("IST0146", _WARNING, "Image will not be injected", "let an injector select the Pods"),
    Code("IST0147", _ERROR, "Image was not injected", "make the Pod again where an injector selects it"),
    Code(
        "IST0148",
        _INFO,
        "Injection by default",
        "label the namespace istio-injection=disabled if that is not meant",
    ),
    Code("IST0149", _ERROR, "Claims are not validated", "add a RequestAuthentication for the gateway"),
    Code(
        "IST0150", _WARNING, "ExternalName port takes all TCP", "name the port after an HTTP or TLS protocol"
    ),
    Code("IST0151", _WARNING, "Patch depends on the order", "set spec.priority"),
    Code("IST0152", _ERROR, "REPLACE is not possible here", "use MERGE, or REMOVE and ADD"),
    Code("IST0153", _ERROR, "ADD is ignored here", "use MERGE"),
    Code("IST0154", _ERROR, "REMOVE is ignored here", "use MERGE"),
    Code("IST0155", _WARNING, "Patch depends on the proxy's version", "set spec.priority"),
    Code("IST0157", _WARNING, "Access log without provider", "name a provider"),
    Code("IST0158", _WARNING, "Outdated sidecars", "restart the Pods"),
    Code(
        "IST0159",
        _ERROR,
        "Several Telemetries for one workload",
        "let one Telemetry only select the workload",
    ),
    Code("IST0160", _ERROR, "Several Telemetries for a namespace", "keep one of them, or add a selector"),
    Code("IST0161", _ERROR, "Secret of a Gateway is not valid", "put a certificate and its key into it"),
    Code("IST0162", _WARNING, "Gateway port cannot be reached", "add the port to the gateway's Service"),
    Code("IST0163", _WARNING, "External control plane is not named", "set clientConfig.url"),
    Code("IST0164", _INFO, "External control plane by address", "use a host name"),
    Code("IST0165", _WARNING, "Generated gateway is referred to", "attach a route of the Gateway API"),
    Code("IST0166", _WARNING, "Selector has no effect on a gateway", "use targetRefs"),
    Code("IST0167", _WARNING, "Policy has no effect", "remove it, or take the workloads out of ambient mode"),
    Code("IST0170", _WARNING, "Service differs between clusters", "make it the same in all clusters"),
    Code("IST0171", _WARNING, "A controller reports a problem", "see the condition's message"),
    Code(
        "IST0173", _ERROR, "Subset without workloads", "correct the labels, or start workloads that have them"
    ),
    Code("IST0174", _WARNING, "Rule for no service", "create the service or correct the host"),
    Code("IST0175", _WARNING, "Keys may be fetched from anywhere", "set BLOCKED_CIDRS_IN_JWKS_URIS"),
    Code("IST0176", _WARNING, "Gateway API is too old", "install a newer release of the Gateway API"),
    Code("IST0177", _WARNING, "ServiceEntries disagree on a protocol", "give the port one protocol"),
    Code("MZ0201", _ERROR, "Delegation in a circle", "end it: a delegate must not delegate"),
    Code("MZ0202", _ERROR, "Delegate delegates", "move its routes into the delegate"),
    Code("MZ0203", _ERROR, "Server is not served", "give it another port or other hosts"),
    Code("MZ0204", _WARNING, "Provider is not known", "correct the name, or add it to extensionProviders"),
    Code(
        "MZ0401", _ERROR, "Patch does not fit Envoy's API", "write the value as Envoy's API reference has it"
    ),
    # how secure the mesh is (mizzen analyze --posture)
    Code("MZ0301", _WARNING, "Plain text is accepted", "set STRICT once all callers have sidecars"),
    Code("MZ0302", _ERROR, "mTLS is off", "set STRICT, or PERMISSIVE while you migrate"),
    Code(
        "MZ0303", _WARNING, "Workloads may call any host", "set outboundTrafficPolicy.mode to REGISTRY_ONLY"
    ),
    Code(
        "MZ0304",
        _WARNING,
        "No default deny",
        "add an AuthorizationPolicy without rules, then allow what is needed",
    ),
    Code("MZ0305", _WARNING, "Gateway takes every host", "name the hosts that it serves"),
    Code("MZ0306", _WARNING, "Policy admits everybody", "name the principals that need access"),
    Code("MZ0307", _WARNING, "Old TLS version is accepted", "set minProtocolVersion to TLSV1_2 or remove it"),
    Code("MZ0308", _WARNING, "Weak cipher is accepted", "remove it from cipherSuites"),
    Code("MZ0309", _WARNING, "Server is not verified", "set caCertificates and subjectAltNames"),
    Code("MZ0310", _WARNING, "Certificate expires soon", "renew it"),
    Code("MZ0311", _ERROR, "Certificate has expired", "renew it"),
    Code("MZ0312", _ERROR, "Envoy has known vulnerabilities", "upgrade Envoy"),
)

CATALOGUE: Mapping[str, Code] = MappingProxyType({code.code: code for code in _CODES})
