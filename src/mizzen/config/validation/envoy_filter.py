"""EnvoyFilter: whether patch, place and operation go together. Whether Envoy knows the fields of a patch, it tells itself."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.envoy_filter import (
    ApplyTo,
    EnvoyConfigObjectMatch,
    EnvoyConfigObjectPatch,
    EnvoyFilter,
    FilterMatch,
    Operation,
    Patch,
    PatchContext,
)
from mizzen.config.validation import ports, references, regexes, rules
from mizzen.config.validation.rules import Findings, camel, given, invalid, questionable

_HTTP_CONNECTION_MANAGERS: Final = (
    "envoy.filters.network.http_connection_manager",
    "envoy.http_connection_manager",
)
_FILTERS: Final = (ApplyTo.NETWORK_FILTER, ApplyTo.HTTP_FILTER, ApplyTo.LISTENER_FILTER)
_OF_LISTENERS: Final = (ApplyTo.LISTENER, ApplyTo.FILTER_CHAIN, *_FILTERS)
_OF_ROUTES: Final = (ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE)
_PLACES: Final[Mapping[ApplyTo, str]] = {
    **dict.fromkeys(_OF_LISTENERS, "listener"),
    **dict.fromkeys(_OF_ROUTES, "route_configuration"),
    ApplyTo.CLUSTER: "cluster",
}
"""What a patch is applied to -> the member of `match` that can say where."""

_WAYS: Final = ("listener", "route_configuration", "cluster", "waypoint")
_TYPE: Final = "type.googleapis.com/"


def validate(resource: Resource[EnvoyFilter]) -> Findings:
    spec = resource.spec
    chosen = spec.workload_selector
    path = ("spec", "workloadSelector", "labels")
    yield from rules.at_most_one(spec, ("workload_selector", "target_refs"), ("spec",))
    yield from references.selector(chosen.labels if chosen else None, path)
    yield from references.attachment(spec)
    for index, patch in enumerate(spec.config_patches):
        yield from _config_patch(patch, ("spec", "configPatches", index))


def _config_patch(given_patch: EnvoyConfigObjectPatch, path: Path) -> Findings:
    apply_to = given_patch.apply_to
    if apply_to is ApplyTo.INVALID:
        yield invalid(path, "there is no applyTo", "add applyTo: what the patch changes")
        return
    if given_patch.patch is None:
        yield invalid(path, "there is no patch", "add patch with operation and value")
    else:
        yield from _patch(given_patch.patch, apply_to, (*path, "patch"))
    if given_patch.match:
        yield from _match(given_patch.match, apply_to, (*path, "match"))


# --- where ------------------------------------------------------------------------------------------------------


def _match(match: EnvoyConfigObjectMatch, apply_to: ApplyTo, path: Path) -> Findings:
    if match.proxy:
        yield from _proxy_version(match.proxy.proxy_version, (*path, "proxy", "proxyVersion"))
    yield from rules.at_most_one(match, _WAYS, path)
    wanted = _PLACES.get(apply_to)
    for name in given(match, _WAYS):
        if wanted and name not in (wanted, "waypoint"):
            message = f"{camel(name)} cannot say where a {apply_to.value} is"
            yield invalid((*path, camel(name)), message, f"use {camel(wanted)}")
    if (match.context is PatchContext.WAYPOINT) != (match.waypoint is not None):
        yield invalid(path, "context WAYPOINT and waypoint need each other", "add the other, or remove both")
    if match.waypoint and match.waypoint.port_number:
        yield from ports.port(match.waypoint.port_number, (*path, "waypoint", "portNumber"))
    chain = match.listener.filter_chain if match.listener else None
    if chain and chain.filter:
        here = (*path, "listener", "filterChain", "filter")
        yield from _filter(chain.filter, apply_to, here)


def _proxy_version(pattern: str, path: Path) -> Findings:
    if len(pattern) > regexes.MAX_CHARACTERS:
        message = f"the expression is longer than {regexes.MAX_CHARACTERS} characters; it is ignored"
        yield questionable(path, message, "shorten it")
    elif pattern:
        yield from regexes.regex(pattern, path)


def _filter(match: FilterMatch, apply_to: ApplyTo, path: Path) -> Findings:
    if apply_to in (ApplyTo.LISTENER, ApplyTo.FILTER_CHAIN):
        yield questionable(path, f"filter has no effect on which {apply_to.value} is patched", "remove it")
    if not match.name:
        yield invalid(path, "the filter has no name to match", "add name")
    yield from _old_name(match.name, (*path, "name"))
    if match.sub_filter is None:
        return
    here = (*path, "subFilter")
    if apply_to is not ApplyTo.HTTP_FILTER:
        yield invalid(here, f"subFilter is for HTTP_FILTER, not for {apply_to.value}", "remove it")
    elif match.name not in _HTTP_CONNECTION_MANAGERS:
        message = f'"{match.name}" has no HTTP filters in it'
        yield invalid((*path, "name"), message, f"write {_HTTP_CONNECTION_MANAGERS[0]}")
    if not match.sub_filter.name:
        yield invalid(here, "the filter has no name to match", "add name")
    yield from _old_name(match.sub_filter.name, (*here, "name"))


def _old_name(name: str, path: Path) -> Findings:
    """Envoy's own filters have been called envoy.filters.<kind>.<name> since 2018."""
    if name.startswith("envoy.") and not name.startswith(("envoy.filters.", "envoy.extensions.")):
        yield questionable(path, f'"{name}" is a name that Envoy no longer uses', "write envoy.filters...")


# --- what -------------------------------------------------------------------------------------------------------


def _patch(patch: Patch, apply_to: ApplyTo, path: Path) -> Findings:
    if patch.operation is Operation.INVALID:
        yield invalid(path, "there is no operation", "add operation: MERGE, ADD, REMOVE ...")
        return
    if not patch.value:
        if patch.operation is not Operation.REMOVE:
            yield invalid(path, f"there is no value to {patch.operation.value}", "add value")
        return
    for name, place in _typed(patch.value, (*path, "value")):
        yield from _type(name, place)
    is_new = patch.operation is not Operation.REMOVE
    if apply_to in _FILTERS and is_new and not given_one_of(patch.value, "typed_config", "config_discovery"):
        message = "Envoy does not find filters by their names alone"
        yield questionable((*path, "value"), message, "add typed_config with @type")


def given_one_of(value: Mapping[str, Any], *names: str) -> bool:
    """Members by either spelling that protobuf's JSON allows."""
    return any(name in value or camel(name) in value for name in names)


def _typed(value: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    """All @type in a value, and None for a typed_config that has none."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _typed(item, (*path, index))
    if not isinstance(value, Mapping):
        return
    if path[-1] in ("typed_config", "typedConfig") or "@type" in value:
        yield value.get("@type"), path
    for name, member in value.items():
        yield from _typed(member, (*path, name))


def _type(name: Any, path: Path) -> Findings:
    if name is None:
        yield invalid(path, "there is no @type, so Envoy cannot tell what this is", 'add "@type"')
        return
    here = (*path, "@type")
    text = str(name)
    message_type = text.rpartition("/")[2]
    if "/" not in text or not all(part.isidentifier() for part in message_type.split(".")):
        yield invalid(here, f'"{text}" is no name of a type', f"write {_TYPE}envoy.extensions...")
    elif any(part == "v2" or part.startswith("v2alpha") for part in message_type.split(".")):
        message = f'"{text}" is of the API version 2, which Envoy no longer has'
        yield invalid(here, message, "use the type of version 3")
