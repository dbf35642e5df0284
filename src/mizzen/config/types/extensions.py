"""extensions.istio.io: WasmPlugin and TrafficExtension. Code of one's own in the proxies."""

from enum import Enum
from typing import Annotated, ClassVar

from msgspec import Meta

from mizzen.config.types.constraints import ListKey, Sha256Hex, at_most_one, has_scheme
from mizzen.config.types.message import Cel, Int32, Message, OneOf, Struct
from mizzen.config.types.targets import PolicyTargetReference, TargetRefs, TrafficSelector, WorkloadSelector


class PluginType(Enum):
    """Which kind of Envoy filter a module is."""

    UNSPECIFIED_PLUGIN_TYPE = "UNSPECIFIED_PLUGIN_TYPE"  # as HTTP
    HTTP = "HTTP"
    NETWORK = "NETWORK"


class PullPolicy(Enum):
    """When a module's image is fetched."""

    UNSPECIFIED_POLICY = "UNSPECIFIED_POLICY"  # IfNotPresent, but Always for the tag "latest"
    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"


class FailStrategy(Enum):
    """What happens to traffic when the module cannot be fetched or crashes."""

    FAIL_CLOSE = "FAIL_CLOSE"  # refused
    FAIL_OPEN = "FAIL_OPEN"  # the filter is skipped
    FAIL_RELOAD = "FAIL_RELOAD"  # refused until the module, loaded anew, runs


class EnvValueSource(Enum):
    INLINE = "INLINE"
    HOST = "HOST"  # from the proxy's environment


class EnvVar(Message):
    """A variable of the module's environment."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        Cel(
            '(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)',
            "value may only be set when valueFrom is INLINE",
        ),
    )

    name: Annotated[str, Meta(min_length=1, max_length=256)]  # of the variable
    value_from: EnvValueSource = EnvValueSource.INLINE  # where the value is
    value: Annotated[str, Meta(max_length=2048)] = ""  # for INLINE


class VmConfig(Message):
    """The virtual machine that runs a module."""

    env: Annotated[tuple[EnvVar, ...], Meta(max_length=256), ListKey("name")] = ()  # (): an empty environment


_SCHEMES = "url must have schema one of [http, https, file, oci]"


class PluginPhase(Enum):
    """Where in the chain of filters a plugin stands."""

    UNSPECIFIED_PHASE = "UNSPECIFIED_PHASE"  # at the end, before the router
    AUTHN = "AUTHN"  # before Istio's authentication
    AUTHZ = "AUTHZ"  # after authentication, before Istio's authorization
    STATS = "STATS"  # after authorization, before Istio's metrics


class WasmPlugin(Message):
    """A WebAssembly module in the proxies of the selected workloads."""

    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one("only one of targetRefs or selector can be set", "selector", "targetRef", "targetRefs"),
    )

    url: Annotated[
        str, Meta(min_length=1), has_scheme("http", "https", "oci", "file", message=_SCHEMES)
    ]  # of the module or image; without a scheme: oci
    selector: WorkloadSelector | None = None  # None: all of the namespace
    target_ref: PolicyTargetReference | None = None  # deprecated: target_refs
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes selector
    sha256: Sha256Hex = ""  # of the module, or of the image (its digest); "": not checked
    image_pull_policy: PullPolicy = PullPolicy.UNSPECIFIED_POLICY  # for images
    image_pull_secret: Annotated[str, Meta(min_length=1, max_length=253)] = ""  # in the namespace; "": none
    verification_key: str = ""  # reserved by the API, never read by Istio
    plugin_config: Struct = Struct()  # handed to the module
    plugin_name: Annotated[str, Meta(min_length=1, max_length=256)] = ""  # told to the module (its root id)
    phase: PluginPhase = PluginPhase.UNSPECIFIED_PHASE  # where in the chain
    priority: Int32 | None = None  # within the phase, higher first; None: 0
    fail_strategy: FailStrategy = FailStrategy.FAIL_CLOSE  # without a module that runs
    vm_config: VmConfig | None = None  # None: an empty environment
    match: tuple[TrafficSelector, ...] = ()  # any of them; (): all traffic
    type: PluginType = PluginType.UNSPECIFIED_PLUGIN_TYPE  # HTTP or network filter


class ExecutionPhase(Enum):
    """Where in the chain of filters an extension stands."""

    UNSPECIFIED = "UNSPECIFIED"  # at the end, before the router
    AUTHN = "AUTHN"  # before Istio's authentication
    AUTHZ = "AUTHZ"  # after authentication, before Istio's authorization
    STATS = "STATS"  # after authorization, before Istio's metrics


class WasmConfig(Message):
    """A WebAssembly module; the fields as in WasmPlugin."""

    url: Annotated[
        str, Meta(min_length=1), has_scheme("http", "https", "file", "oci", message=_SCHEMES)
    ]  # of the module or image; without a scheme: oci
    sha256: Sha256Hex = ""  # of the module, or of the image (its digest); "": not checked
    image_pull_policy: PullPolicy = PullPolicy.UNSPECIFIED_POLICY  # for images
    image_pull_secret: Annotated[str, Meta(min_length=1, max_length=253)] = ""  # in the namespace; "": none
    verification_key: str = ""  # reserved by the API, never read by Istio
    plugin_config: Struct = Struct()  # handed to the module
    plugin_name: Annotated[str, Meta(min_length=1, max_length=256)] = ""  # told to the module (its root id)
    fail_strategy: FailStrategy = FailStrategy.FAIL_CLOSE  # without a module that runs
    vm_config: VmConfig | None = None  # None: an empty environment
    type: PluginType = PluginType.UNSPECIFIED_PLUGIN_TYPE  # HTTP or network filter


class LuaConfig(Message):
    """A Lua script in Envoy's HTTP filter for Lua."""

    inline_code: Annotated[
        str, Meta(min_length=1, max_length=65536)
    ]  # defines envoy_on_request or envoy_on_response


class TrafficExtension(Message):
    """Code in the proxies of the selected workloads: one of wasm and lua."""

    ONE_OF: ClassVar[OneOf] = (("lua", "wasm"),)
    CEL: ClassVar[tuple[Cel, ...]] = (
        at_most_one("only one of targetRefs or selector can be set", "selector", "targetRefs"),
        Cel("has(self.wasm) != has(self.lua)", "exactly one of wasm or lua must be set"),
    )

    selector: WorkloadSelector | None = None  # None: all of the namespace
    target_refs: TargetRefs = ()  # gateways and services that it attaches to; excludes selector
    phase: ExecutionPhase = ExecutionPhase.UNSPECIFIED  # where in the chain
    priority: Int32 | None = None  # within the phase, higher first; None: 0
    match: tuple[TrafficSelector, ...] = ()  # any of them; (): all traffic
    wasm: WasmConfig | None = None  # a WebAssembly module
    lua: LuaConfig | None = None  # a script
