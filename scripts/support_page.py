"""Writes docs/support.md: which fields of the API take effect, and which have none yet. `--check` only compares.

Both come from the code: the fields from the types of `mizzen.config.types`, what has no effect from `config.support`.
"""

import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from mizzen.config.kinds import KINDS, Kind
from mizzen.config.support import NO_EFFECT, UNSUPPORTED
from mizzen.frozen import FrozenMap

EFFECTIVE = tuple(kind for kind in KINDS.values() if kind.key_kind not in NO_EFFECT)

PAGE = Path(__file__).parents[1] / "docs" / "support.md"

_OF_CONTAINERS: Final = "name image args env ports[].hostPort readinessProbe livenessProbe startupProbe restartPolicy securityContext"

# Read so that manifests pass as they are; only a Kubernetes cluster acts on them.
OF_KUBERNETES: Final[Mapping[str, tuple[str, ...]]] = {
    "Service": (
        "spec.ports[].nodePort",
        "spec.type",
        "spec.sessionAffinity",
        "spec.sessionAffinityConfig",
        "spec.loadBalancerIP",
        "spec.loadBalancerSourceRanges",
        "spec.loadBalancerClass",
        "spec.externalTrafficPolicy",
        "spec.healthCheckNodePort",
        "spec.allocateLoadBalancerNodePorts",
    ),
    **dict.fromkeys(("Role", "ClusterRole"), ("rules[].nonResourceURLs", "aggregationRule")),
    **dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), ("roleRef.apiGroup", "subjects[].apiGroup")),
    "EndpointSlice": (
        "endpoints[].conditions.serving",
        "endpoints[].conditions.terminating",
        "endpoints[].zone",
        "ports[].appProtocol",
    ),
    "Pod": (
        *(f"spec.containers[].{field}" for field in _OF_CONTAINERS.split()),
        *(f"spec.initContainers[].{field}" for field in _OF_CONTAINERS.split()),
        "spec.securityContext",
    ),
    "Node": ("spec.providerID",),
}

_HEAD = """\
# What of Istio's API has an effect

<!-- Written by scripts/support_page.py from the code; edit config/support.py instead. -->

A field that is accepted and ignored in silence is a defect. So each field has one of three fates: it **changes what Envoy does**; it
has **no effect yet**, and the diagnostic MZ0101 (or MZ0102, for a value) says so at its place in your file, while the rest of the
object is in force; or the API **does not have it**, and MZ0020 refuses the object.

`[]` is each item of a list, `*` each member of a map, `=X` only this value. In the lists that unfold, a message stands once for
wherever it occurs below.
"""


def page() -> str:
    parts = [_HEAD, _overview(), _without_effect(), *map(_section, EFFECTIVE)]
    return "\n".join(parts)


def _overview() -> str:
    rows = ["| kind | API versions | no effect yet |", "| --- | --- | --- |"]
    for kind in EFFECTIVE:
        versions = ", ".join(f"`{kind.group}/{version}`".replace("`/", "`") for version in kind.versions)
        count = len(UNSUPPORTED.get(kind.name, ()))
        entries = f"{count} entries" if count > 1 else "1 entry" if count else "none"
        rows.append(f"| [{kind.name}](#{kind.name.lower()}) | {versions} | {entries} |")
    return "\n".join(["## Kinds that have an effect", "", *rows, ""])


def _without_effect() -> str:
    groups: dict[str, list[str]] = {}
    for kind in KINDS.values():
        if kind.key_kind in NO_EFFECT:
            groups.setdefault(kind.group or "core", []).append(kind.name)
    rows = [f"- `{group}`: {', '.join(sorted(kinds))}" for group, kinds in sorted(groups.items())]
    words = "These kinds are decoded, validated and analysed, but have no effect yet; MZ0103 says so at each object."
    return "\n".join(["## Kinds without effect so far", "", words, "", *rows, ""])


def _section(kind: Kind) -> str:
    lines = [f"## {kind.name}", ""]
    lists = (
        ("No effect yet, and a diagnostic says so:", UNSUPPORTED.get(kind.name, ())),
        ("Only a Kubernetes cluster acts on these:", OF_KUBERNETES.get(kind.name, ())),
    )
    for words, paths in lists:
        if paths:
            lines += [words, "", *(f"- `{path}`" for path in paths), ""]
    excluded = tuple(path for _, paths in lists for path in paths)
    effective = [field.path for field in fields(kind) if not is_below(field.path, excluded)]
    lines += ["<details><summary>Fields that have an effect</summary>", "", "```text"]
    return "\n".join([*lines, *effective, "```", "", "</details>", ""])


@dataclass(frozen=True)
class Field:
    """A field of a kind by its path in YAML, and the attribute that holds it."""

    path: str
    attribute: str


def fields(kind: Kind) -> Iterator[Field]:
    """Every field, in the order of the types; what is inside a message is listed at the message's first place."""
    seen: set[type] = set()
    top = "" if kind.is_whole else "spec."

    def walk(message: type, prefix: str) -> Iterator[Field]:
        seen.add(message)
        for field in msgspec.structs.fields(message):
            inner, suffix = _unwrapped(field.type)
            path = f"{prefix}{field.encode_name}{suffix}"
            yield Field(path, field.name)
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and inner not in seen:
                yield from walk(inner, f"{path}.")

    return walk(kind.spec, top)


def is_below(path: str, excluded: tuple[str, ...]) -> bool:
    """Whether the path is one of the excluded, or inside of one."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[]")) for one in excluded)


def _unwrapped(annotation: object) -> tuple[object, str]:
    """The type inside of optional, annotated, list and map types, and what the path says of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        return _unwrapped(next(one for one in arguments if one is not types.NoneType))
    if origin is typing.Annotated:
        return _unwrapped(arguments[0])
    if origin is tuple:
        inner, suffix = _unwrapped(arguments[0])
        return inner, f"[]{suffix}"
    if origin is FrozenMap:
        inner, suffix = _unwrapped(arguments[1])
        return inner, f".*{suffix}"
    return annotation, ""


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print(f"{PAGE.name} is not what the code says: run python {Path(sys.argv[0]).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
