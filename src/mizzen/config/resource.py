"""What configuration is made of: a resource, its key, and where in which file it was written."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from mizzen.config.status import Status
from mizzen.frozen import EMPTY, FrozenMap

T_co = TypeVar("T_co", covariant=True)

Path = tuple[str | int, ...]
"""From the top of a document to a field: ("spec", "http", 0, "timeout"). Members by the API's name, items by index."""


_MAX_STEP = 120  # characters of a member's name that are shown


def path_text(path: Path) -> str:
    """The path as people write it: spec.http[0].timeout."""
    return "".join(map(_step_text, path)).removeprefix(".")


def _step_text(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    shown = step if len(step) <= _MAX_STEP else step[: _MAX_STEP - 3] + "..."
    return f".{shown}" if shown.replace("_", "a").isalnum() else f'["{shown}"]'


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """Names one object. Cluster-wide objects have the namespace ""."""

    kind: str  # Kind.key_kind: Istio's Gateway is "Gateway", the Gateway API's "KubernetesGateway"
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource(Generic[T_co]):
    """An object as the mesh sees it. No positions inside: moving it within its file changes nothing."""

    key: ResourceKey
    spec: T_co
    labels: FrozenMap[str, str] = EMPTY
    annotations: FrozenMap[str, str] = EMPTY
    created: str = ""  # metadata.creationTimestamp, RFC 3339, "" where the object has none
    observed: object = (
        None  # what the platform reports, of kinds where the mesh acts on it: a Pod's addresses
    )


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a text. Lines and columns count from 1; columns count characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Locator(Protocol):
    """Finds the places of a text's fields."""

    def locate(self, path: Path) -> Location:
        """Where the field stands, or its nearest ancestor that the text has."""


@dataclass(frozen=True, slots=True)
class Located:
    """A resource with the file that holds it. Equality is the resource's and the file's: positions take no part."""

    resource: Resource[object]
    file: str
    locator: Locator = field(repr=False)
    status: Status | None = None  # what controllers report of it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Located) and (self.resource, self.file, self.status) == (
            other.resource,
            other.file,
            other.status,
        )

    def __hash__(self) -> int:
        return hash((self.resource, self.file))

    def locate(self, path: Path) -> Location:
        """Where a field of this resource stands, path from the top: ("spec", "hosts", 0)."""
        return self.locator.locate(path)
