"""The mesh's names: read from a JSON file that somebody else keeps up to date, and looked up as Kubernetes would."""

import asyncio
import ipaddress
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_DOMAIN: Final = "cluster.local"
_POLL_SECONDS: Final = 0.25

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class HostTable:
    """Host names in lower case (a leading "*." stands for one or more labels) and their addresses."""

    namespace: str
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[str, ...] | None:
        """The addresses of a name as an application may write it (reviews, reviews.bookinfo, ...); None: unknown."""
        for candidate in (
            name,
            f"{name}.{self.namespace}.svc.{_DOMAIN}",
            f"{name}.svc.{_DOMAIN}",
            f"{name}.{_DOMAIN}",
        ):
            found = self.addresses.get(candidate)
            if found is not None:
                return found
        return self._wildcard(name)

    def _wildcard(self, name: str) -> tuple[str, ...] | None:
        while "." in name:
            name = name.partition(".")[2]
            found = self.addresses.get(f"*.{name}")
            if found is not None:
                return found
        return None

    @staticmethod
    def owns(name: str) -> bool:
        """Whether no other server could know the name."""
        return name == _DOMAIN or name.endswith(f".{_DOMAIN}")


def parse_hosts(text: str | bytes) -> Mapping[str, tuple[str, ...]]:
    """Raises ValueError where the text is not a JSON object from names to lists of IP addresses."""
    document: Any = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("it is not a JSON object")
    table: dict[str, tuple[str, ...]] = {}
    for name, addresses in document.items():
        if not isinstance(addresses, list):
            raise TypeError(f"the addresses of {name} are not a list")
        table[name.lower().rstrip(".")] = tuple(str(ipaddress.ip_address(address)) for address in addresses)
    return table


class HostsFile:
    """Keeps `table` equal to a file. A file that is missing or broken leaves the last good table in force."""

    def __init__(self, path: Path | None, namespace: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self.table = HostTable(namespace)

    def reload(self) -> None:
        """Read the file if it is another than last time."""
        if self._path is None:
            return
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version != self._seen:
                self._seen = version
                self.table = HostTable(self.table.namespace, parse_hosts(self._path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError) as error:
            _log.warning("the names in %s are not taken over: %s", self._path, error)

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            self.reload()
            await asyncio.sleep(_POLL_SECONDS)
