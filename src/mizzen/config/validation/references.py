"""How resources name other things: namespaces, gateways, services, workloads, policies' targets."""

import re
from collections.abc import Mapping
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.networking import Destination
from mizzen.config.types.targets import PolicyTargetReference
from mizzen.config.validation import hosts, ports
from mizzen.config.validation.rules import Findings, at_most_one, invalid, questionable

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TARGETS: Final = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "GatewayClass"),
    }
)


# --- labels, and what selects by them ---------------------------------------------------------------------------


def labels(given: Mapping[str, str], path: Path) -> Findings:
    for key, value in given.items():
        yield from _label_key(key, path)
        if _LABEL_VALUE.fullmatch(value) is None:
            hint = "use letters, digits, '-', '_' and '.'; 63 at most"
            yield invalid((*path, key), f'"{value}" is no label value', hint)


def _label_key(key: str, path: Path) -> Findings:
    prefix, slash, name = key.rpartition("/")
    if not name or _LABEL_VALUE.fullmatch(name) is None or (slash and not hosts.is_subdomain(prefix)):
        yield invalid(
            (*path, key), f'"{key}" is no label name', "use letters, digits, '-', '_' and '.'; 63 at most"
        )


def selector(chosen: Mapping[str, str] | None, path: Path) -> Findings:
    """Labels by which workloads are selected; `path` is the labels'. None: there is no selector."""
    if chosen is None:
        return
    yield from labels(chosen, path)
    if not chosen:
        message = "the selector names no labels, so it selects every workload of the namespace"
        yield questionable(path[:-1], message, "add labels, or remove the selector")


def attachment(spec: object, path: Path = ("spec",)) -> Findings:
    """What a policy attaches to: its `selector`, `target_ref` (where the kind has it) and `target_refs`."""
    members = ("selector", "target_ref", "target_refs")
    yield from at_most_one(spec, [name for name in members if hasattr(spec, name)], path)
    chosen = getattr(spec, "selector", None)
    yield from selector(chosen.match_labels if chosen else None, (*path, "selector", "matchLabels"))
    if reference := getattr(spec, "target_ref", None):
        yield from _target(reference, (*path, "targetRef"))
    for index, reference in enumerate(getattr(spec, "target_refs", ())):
        yield from _target(reference, (*path, "targetRefs", index))


def _target(reference: PolicyTargetReference, path: Path) -> Findings:
    if not reference.name:
        yield invalid((*path, "name"), "the target has no name", "add its name")
    if reference.namespace:
        message = f'"{reference.namespace}": a policy attaches to what is in its own namespace'
        yield invalid((*path, "namespace"), message, "remove it")
    if (reference.group, reference.kind) not in _TARGETS:
        named = ", ".join(
            sorted(f"{kind} ({group or 'core'})" for group, kind in _TARGETS if group != "core")
        )
        message = f'a policy cannot attach to {reference.kind} of the group "{reference.group}"'
        yield invalid((*path, "kind"), message, f"use one of {named}")


# --- namespaces and gateways ------------------------------------------------------------------------------------


def export_to(
    namespaces: tuple[str, ...], path: Path, *, own: str = "", nobody: bool = False, own_only: bool = False
) -> Findings:
    """`own` is the resource's namespace. `nobody`: "~" is allowed. `own_only`: it may be seen nowhere else."""
    seen: set[str] = set()
    for index, namespace in enumerate(namespaces):
        meant = own if namespace == "." else namespace
        if (
            namespace not in (".", "*")
            and not (nobody and namespace == "~")
            and not hosts.is_label(namespace)
        ):
            hint = 'use ".", "*" or the name of a namespace'
            yield invalid((*path, index), f'"{namespace}" is no namespace', hint)
        if meant in seen:
            yield invalid((*path, index), f'the namespace "{namespace}" is there twice')
        seen.add(meant)
    for alone, meaning in (("*", "everybody sees it"), ("~", "nobody sees it")):
        if alone in seen and len(namespaces) > 1:
            yield invalid(path, f'with "{alone}" ({meaning}) no other namespace can be there')
    if own_only and seen - {own}:
        message = "a rule for some workloads of a namespace can be seen in that namespace only"
        yield invalid(path, message, 'write ["."], or remove workloadSelector')


def gateway_name(name: str, path: Path) -> Findings:
    """Written as "mesh", "name" or "namespace/name"; of old also as the name of a host."""
    namespace, slash, gateway = name.rpartition("/")
    is_name = hosts.is_label(namespace) and hosts.is_label(gateway) if slash else hosts.is_host(name)
    if not is_name:
        yield invalid(path, f'"{name}" names no gateway', 'write "name", "namespace/name" or "mesh"')
    elif not slash and "." in name:
        first, second, *_ = name.split(".")
        yield questionable(path, f'"{name}" is the old way to name a gateway', f'write "{second}/{first}"')


def destination(given: Destination, path: Path) -> Findings:
    if given.host == "*":
        yield invalid((*path, "host"), 'the host "*" is no destination', "name a service")
    else:
        yield from hosts.wildcard_host(given.host, (*path, "host"))
    if given.subset and not hosts.is_label(given.subset):
        yield invalid((*path, "subset"), f'"{given.subset}" is no name of a subset')
    if given.port:
        yield from ports.port(given.port.number, (*path, "port", "number"))
