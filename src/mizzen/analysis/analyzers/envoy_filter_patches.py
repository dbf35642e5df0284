"""Will the patches of an EnvoyFilter be applied, and in a known order?

Source: which operation Istio allows for which object, and that relative operations depend on what was applied before.
"""

from collections.abc import Mapping
from types import MappingProxyType

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.config.types.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from mizzen.incremental import Database

_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_REPLACEABLE = frozenset({"NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST"})
_RELATIVE = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"})

# Code -> what is wrong, what to do. One finding of a code names all patches that it is about.
_TOLD: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "IST0151": (
            "the operation depends on what other EnvoyFilters did before, and there is no priority",
            "set spec.priority, or use INSERT_FIRST or ADD",
        ),
        "IST0152": ("REPLACE works for filters and virtual hosts only", "use MERGE, or REMOVE and ADD"),
        "IST0153": ("ADD is ignored for routes and route configurations", "use MERGE"),
        "IST0154": (
            "REMOVE is ignored for routes and route configurations",
            "use MERGE, or REMOVE the virtual host",
        ),
        "IST0155": (
            "the operation depends on a filter that another patch makes for one proxyVersion only",
            "set spec.priority, or use INSERT_FIRST or ADD",
        ),
    }
)


@analyzer("EnvoyFilter", codes="IST0151 IST0152 IST0153 IST0154 IST0155")
def envoy_filter_patches(_db: Database, resource: Resource[EnvoyFilter]) -> Findings:
    versioned: set[str] = set()  # filters that an earlier patch touches for one version of the proxy only
    wrong: dict[str, list[int]] = {}
    for index, patch in enumerate(resource.spec.config_patches):
        if patch.patch is None:
            break  # nothing behind it is applied either
        name = _filter_name(patch)
        code = _misuse(patch)
        if not code and patch.patch.operation.value in _RELATIVE and not resource.spec.priority:
            code = "IST0155" if name in versioned else "IST0151"
        if code:
            wrong.setdefault(code, []).append(index)
        if patch.match is not None and patch.match.proxy is not None and patch.match.proxy.proxy_version:
            versioned.add(name)
    for code, (first, *others) in wrong.items():
        message, hint = _TOLD[code]
        also = f" (also configPatches {', '.join(map(str, others))})" if others else ""
        yield Finding(code, ("spec", "configPatches", first, "patch", "operation"), message + also, hint)


def _misuse(patch: EnvoyConfigObjectPatch) -> str:
    """The code for an operation that is never possible for the object; "" where it is."""
    operation = patch.patch.operation.value if patch.patch else ""
    target = patch.apply_to.value
    if operation == "ADD" and target in _ROUTES:
        return "IST0153"
    if operation == "REMOVE" and target in _ROUTES:
        return "IST0154"
    return "IST0152" if operation == "REPLACE" and target not in _REPLACEABLE else ""


def _filter_name(patch: EnvoyConfigObjectPatch) -> str:
    """The name of what the patch makes, else of the filter that it matches."""
    value = patch.patch.value if patch.patch else None
    if not value:
        return ""
    if "name" in value:
        return str(value["name"])
    listener = patch.match.listener if patch.match else None
    chain = listener.filter_chain if listener else None
    return chain.filter.name if chain and chain.filter else ""
