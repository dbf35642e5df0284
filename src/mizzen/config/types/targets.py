"""istio.type: what a policy applies to."""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from mizzen.config.types.constraints import ListKey, Size, UInt16Port
from mizzen.config.types.message import Cel, Message
from mizzen.frozen import EMPTY, FrozenMap

_SELECTED = Annotated[
    str, Meta(max_length=63), Cel('!self.contains("*")', "wildcard not allowed in label value match")
]


class WorkloadSelector(Message):
    """Workloads of the resource's namespace (of every namespace where that is the root namespace)."""

    match_labels: Annotated[
        FrozenMap[str, _SELECTED],
        Size(most=4096),
        Cel('self.all(key, !key.contains("*"))', "wildcard not allowed in label key match"),
        Cel("self.all(key, key.size() != 0)", "key must not be empty"),
    ] = EMPTY  # all must hold; EMPTY: every workload


_GROUP = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_KIND = "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"


class PolicyTargetReference(Message):
    """Names what a policy attaches to, in the policy's own namespace."""

    kind: Annotated[str, Meta(min_length=1, max_length=63, pattern=_KIND)]  # such as Gateway, Service
    name: Annotated[str, Meta(min_length=1, max_length=253)]  # of the object
    group: Annotated[str, Meta(max_length=253, pattern=_GROUP)] = ""  # of the API; "": core
    namespace: Annotated[
        str, Cel("self.size() == 0", "cross namespace referencing is not currently supported")
    ] = ""  # reserved by the API: must be ""


TargetRefs = Annotated[tuple[PolicyTargetReference, ...], Meta(max_length=16)]


class WorkloadMode(Enum):
    """Which side of a connection a proxy stands on."""

    UNDEFINED = "UNDEFINED"  # as CLIENT_AND_SERVER
    CLIENT = "CLIENT"  # what leaves the workload; at gateways: to the mesh
    SERVER = "SERVER"  # what reaches the workload; at gateways: from outside
    CLIENT_AND_SERVER = "CLIENT_AND_SERVER"


class PortSelector(Message):
    """A port by number, where an extension acts."""

    number: UInt16Port  # 1 to 65535


class TrafficSelector(Message):
    """Traffic of a workload. All that is set must hold."""

    mode: WorkloadMode = WorkloadMode.CLIENT_AND_SERVER  # the side; not set: both
    ports: Annotated[tuple[PortSelector, ...], ListKey("number")] = ()  # any of them; (): every port
