"""The language of tests/specs: Markdown in which one `##` heading is one behaviour and one test.

    ```yaml      configuration: one or several blocks, before the first check
    ```view      whose configuration it is: namespace, labels, kind, ports, locality, network, node, binding; address, where services name it, annotation
    ```mesh      what no YAML says: trust_domain, unhealthy and not_ready (workloads as namespace/name), certificates (Secrets,
                 as namespace/name: [members], with a certificate of the test's making)
    Envoy: `clusters["outbound|80||a.shop.svc.cluster.local"].type`
    Agent: `names["a.shop.svc.cluster.local"]`       what the agent beside that proxy answers DNS with
    ```yaml      what that path must be: the snapshot

Blocks that stand before the first heading hold for every heading of the page; a heading's own view replaces the page's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict

from mizzen.derive.inbound import instances_at
from mizzen.derive.inputs import DRAINING, UNHEALTHY
from mizzen.derive.proxy_config import proxy_settings
from mizzen.derive.workloads import workload_key
from mizzen.frozen import FrozenMap
from mizzen.model.proxy import Binding, ProxyKind, ProxyView
from mizzen.model.workload import Family
from mizzen.proto.descriptors import pool
from mizzen.translate.name_table import NAME_TABLE
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, DiscoveryResource
from tests.support.edge_secrets import secret_text
from tests.support.mesh import Mesh
from tests.support.select import select

_FENCE = re.compile(r"```(\w*)\s*$")
_CHECK = re.compile(r"(?:Envoy|Agent): `(.+)`\s*$")
_TREE = {
    "clusters": CLUSTER,
    "endpoints": ENDPOINT,
    "listeners": LISTENER,
    "routes": ROUTE,
    "secrets": SECRET,
}
_MAPS = frozenset(
    {"filter_metadata", "match", "policies", "typed_extension_protocol_options", "typed_per_filter_config"}
)


class SpecError(Exception):
    """The page is not written as it must be; the message says where and what to do."""


@dataclass(frozen=True)
class Check:
    """A path and what it must be. `snapshot` is None where nothing was filled in yet; lines count from 0."""

    path: str
    line: int
    snapshot: str | None = None
    first: int = 0  # of the snapshot's text
    last: int = 0  # behind its text


@dataclass(frozen=True)
class Spec:
    """One behaviour."""

    title: str
    line: int
    config: tuple[str, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)
    mesh: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    @cached_property
    def loaded(self) -> Mesh:
        secrets = (
            secret_text(*name.split("/"), has) for name, has in self.mesh.get("certificates", {}).items()
        )
        mesh = Mesh(*self.config, *secrets, trust_domain=self.mesh.get("trust_domain", "cluster.local"))
        for names, reason in (("unhealthy", DRAINING), ("not_ready", "starting")):
            for name in self.mesh.get(names, ()):
                mesh.db.set(UNHEALTHY, workload_key(*name.split("/")), reason)
        return mesh

    @property
    def proxy(self) -> ProxyView:
        given = dict(self.view)
        binding = given.pop("binding", None)
        if binding:
            binding = Binding(**{**binding, "app_ports": FrozenMap(binding.get("app_ports", {}))})
        address, namespace = given.pop("address", ""), given.pop("namespace")
        made = ProxyView(
            kind=ProxyKind[given.pop("kind", "sidecar").upper()],
            namespace=namespace,
            labels=FrozenMap(given.pop("labels", {})),
            ports=FrozenMap(given.pop("ports", {})),
            locality=given.pop("locality", ""),
            network=given.pop("network", ""),
            node=given.pop("node", ""),
            service_account=given.pop("service_account", ""),
            binding=binding,
            transparent=given.pop("transparent", False),
            instances=self.loaded.db.value(instances_at, namespace, address),
            container_ports=FrozenMap(given.pop("container_ports", {})),
            families=tuple(map(Family, given.pop("families", ("IPv4",)))),
            settings=proxy_settings(given.pop("annotation", "")),
        )
        if given:
            raise SpecError(f'"{self.title}": a view has no {", ".join(given)}')
        return made

    def resources(self) -> list[DiscoveryResource]:
        return self.loaded.resources(self.proxy)

    def evaluate(self, check: Check) -> str:
        """What stands at a check's path, as a snapshot is written."""
        found = select(self._tree(), check.path)
        text = yaml.dump(found, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        return text.removesuffix("...\n")  # how YAML ends a document that is one word

    def _tree(self) -> Mapping[str, Any]:
        tree: dict[str, Any] = {}
        for name, type_url in _TREE.items():
            messages = self.loaded.messages(self.proxy, type_url)
            tree[name] = {key: _readable(messages[key]) for key in sorted(messages)}
        agent = ProxyView(self.proxy.kind, self.proxy.namespace, self.proxy.labels, agent=True)
        tree["names"] = {
            entry.key: _readable(entry.value)
            for table in self.loaded.messages(agent, NAME_TABLE).values()
            for entry in table.table
        }
        tree["origins"] = {name: self._origins(type_url) for name, type_url in _TREE.items()}
        return tree

    def _origins(self, type_url: str) -> Mapping[str, list[str]]:
        return {
            name: [f"{part or '(all)'}: {key} {path}" for part, key, path in self._origins_of(type_url, name)]
            for kind, name in self.loaded.refs(self.proxy)
            if kind == type_url
        }

    def _origins_of(self, type_url: str, name: str) -> Iterator[tuple[str, str, str]]:
        for part, key, path in self.loaded.origins(self.proxy, type_url, name):
            yield part, key, ".".join(map(str, path)) or "(all)"


class _Dumper(yaml.SafeDumper):
    """Items of a sequence are indented, and nothing is an anchor."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _readable(message: Any) -> Any:
    """A message as people write it: fields as in Envoy's documentation, the types of what is packed left out."""
    made = MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())
    return _without_types(made)


def _without_types(value: Any) -> Any:
    if isinstance(value, dict):
        made = {name: _without_types(item) for name, item in value.items() if name != "@type"}
        return {name: _in_order(item) if name in _MAPS else item for name, item in made.items()}
    return [_without_types(item) for item in value] if isinstance(value, list) else value


def _in_order(value: Any) -> Any:
    """Fields come in the order of their numbers, but the entries of a map in none: by name, then."""
    return (
        {name: _in_order(item) for name, item in sorted(value.items())} if isinstance(value, dict) else value
    )


def parse(text: str) -> list[Spec]:
    """The specs of a page. Raises SpecError where a block has no meaning, or a heading no check."""
    page = current = Spec("(page)", 0)
    specs: list[Spec] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("## "):
            if current is not page:
                specs.append(current)
            current = replace(page, title=line[3:].strip(), line=at)
        elif found := _CHECK.match(line):
            if current is page:
                raise SpecError(f"line {at + 1}: a check needs a heading of its own")
            check, at = _check(lines, at, found.group(1))
            current = replace(current, checks=(*current.checks, check))
            continue
        elif line.startswith("Envoy:"):
            raise SpecError(f"line {at + 1}: write the path alone, in backticks")
        elif line.startswith("```"):
            end = _end_of_block(lines, at)
            current = _with_block(current, line, at, "\n".join(lines[at + 1 : end]) + "\n")
            page = current if current.title == "(page)" else page
            at = end
        at += 1
    specs += [current] if current is not page else []
    for spec in specs:
        if not spec.checks:
            raise SpecError(f'line {spec.line + 1}: "{spec.title}" checks nothing: add "Envoy: `path`"')
    if len({spec.title for spec in specs}) < len(specs):
        raise SpecError("two headings are the same")
    return specs


def _check(lines: list[str], at: int, path: str) -> tuple[Check, int]:
    """The check at a line and its snapshot, if that follows; and the line where reading goes on."""
    start = at + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start == len(lines) or lines[start] != "```yaml":
        return Check(path, at), at + 1
    end = _end_of_block(lines, start)
    text = "".join(line + "\n" for line in lines[start + 1 : end])
    return Check(path, at, text, start + 1, end), end + 1


def _end_of_block(lines: list[str], start: int) -> int:
    for end in range(start + 1, len(lines)):
        if lines[end].startswith("```"):
            return end
    raise SpecError(f"line {start + 1}: the block does not end")


def _with_block(spec: Spec, fence: str, at: int, text: str) -> Spec:
    found = _FENCE.match(fence)
    kind = found.group(1) if found else ""
    if spec.checks:
        raise SpecError(f"line {at + 1}: an orphan: what follows a check is the snapshot of another check")
    if kind == "yaml":
        return replace(spec, config=(*spec.config, text))
    if kind == "view":
        return replace(spec, view=yaml.safe_load(text))
    if kind == "mesh":
        return replace(spec, mesh=yaml.safe_load(text))
    raise SpecError(f'line {at + 1}: a block is yaml, view or mesh, not "{kind}"')


def filled(text: str, specs: list[Spec]) -> str:
    """The page with every snapshot as it is now."""
    lines = text.splitlines()
    for check, made in [
        (check, spec.evaluate(check)) for spec in reversed(specs) for check in reversed(spec.checks)
    ]:
        snapshot = made.splitlines()
        if check.snapshot is None:
            lines[check.line + 1 : check.line + 1] = ["", "```yaml", *snapshot, "```"]
        else:
            lines[check.first : check.last] = snapshot
    return "\n".join(lines) + "\n"


def pages(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.md"))
