"""The names of the mesh as the agent looks them up: as an application may write them, as Kubernetes would find them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mizzen.model.name import Name

_DOMAIN: Final = "cluster.local"
_MOST_ALIASES: Final = 8  # in a row: more are taken for a circle


class AliasError(Exception):
    """Aliases lead round in a circle."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the mesh knows of a name: aliases as (name, the name that it stands for), in their order, and where they end
    the addresses; None where they lead to `target`, which the mesh does not know.
    """

    aliases: tuple[tuple[str, str], ...]
    target: str
    addresses: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class NameTable:
    """Names in lower case; a leading "*." stands for one label or more. `namespace` is that of who asks."""

    namespace: str
    names: Mapping[str, Name] = field(default_factory=dict)

    def find(self, name: str) -> Found | None:
        """What is known of a name as an application may write it (reviews, reviews.bookinfo, ...); None: nothing.

        Raises AliasError.
        """
        found = self._written(name)
        if found is None:
            return None
        aliases: list[tuple[str, str]] = []
        target = name
        while found is not None and found.external_name:
            aliases.append((target, found.external_name))
            if len(aliases) > _MOST_ALIASES:
                raise AliasError
            target = found.external_name
            found = self._exact(target)
        return Found(tuple(aliases), target, found.addresses if found is not None else None)

    def _written(self, name: str) -> Name | None:
        searched = (f"{name}.{self.namespace}.svc.{_DOMAIN}", f"{name}.svc.{_DOMAIN}", f"{name}.{_DOMAIN}")
        known = (self.names.get(candidate) for candidate in (name, *searched))
        return next((found for found in known if found is not None), None) or self._wildcard(name)

    def _exact(self, name: str) -> Name | None:
        return self.names.get(name) or self._wildcard(name)

    def _wildcard(self, name: str) -> Name | None:
        """The longest wildcard that covers the name: not what stands behind the "*." itself."""
        while "." in name:
            name = name.partition(".")[2]
            found = self.names.get(f"*.{name}")
            if found is not None:
                return found
        return None


def is_of_mesh(name: str) -> bool:
    """Whether the name is in the mesh's own domain."""
    return name == _DOMAIN or name.endswith(f".{_DOMAIN}")
