"""Will the patches of an EnvoyFilter be applied, and in a known order?

Source: which operation Istio allows for which object, and that relative operations depend on what was applied before.
"""

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path, Resource
from mizzen.config.types.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from mizzen.incremental import Database

_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_FILTERS = frozenset({"NETWORK_FILTER", "HTTP_FILTER"})
_RELATIVE = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"})


@analyzer("EnvoyFilter", codes="IST0151 IST0152 IST0153 IST0154 IST0155")
def envoy_filter_patches(_db: Database, resource: Resource[EnvoyFilter]) -> Findings:
    versioned: set[str] = set()  # filters that an earlier patch touches for one version of the proxy only
    for index, patch in enumerate(resource.spec.config_patches):
        if patch.patch is None:
            return  # nothing behind it is applied either
        path = ("spec", "configPatches", index)
        name = _filter_name(patch)
        misused = _misuse(patch, path)
        if misused is not None:
            yield misused
        elif patch.patch.operation.value in _RELATIVE and not resource.spec.priority:
            yield _relative(patch.patch.operation.value, path, versioned=name in versioned)
        if patch.match is not None and patch.match.proxy is not None and patch.match.proxy.proxy_version:
            versioned.add(name)


def _misuse(patch: EnvoyConfigObjectPatch, path: Path) -> Finding | None:
    operation = patch.patch.operation.value if patch.patch else ""
    target = patch.apply_to.value
    where = (*path, "patch", "operation")
    if operation == "ADD" and target in _ROUTES:
        return Finding("IST0153", where, f"ADD is ignored for {target}", "use MERGE")
    if operation == "REMOVE" and target in _ROUTES:
        return Finding(
            "IST0154", where, f"REMOVE is ignored for {target}", "use MERGE, or remove the virtual host"
        )
    if operation == "REPLACE" and target not in _FILTERS:
        message = f"REPLACE works for HTTP_FILTER and NETWORK_FILTER only, not for {target}"
        return Finding("IST0152", where, message, "use MERGE, or REMOVE and ADD")
    return None


def _relative(operation: str, path: Path, *, versioned: bool) -> Finding:
    where = (*path, "patch", "operation")
    hint = "set spec.priority, or use INSERT_FIRST or ADD"
    if versioned:
        message = f"{operation} depends on a filter that another patch makes for one proxyVersion only"
        return Finding("IST0155", where, message, hint)
    message = f"{operation} depends on what other EnvoyFilters did before, and there is no priority"
    return Finding("IST0151", where, message, hint)


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
