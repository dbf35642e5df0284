"""Workloads that register themselves through a WorkloadGroup: each gets a WorkloadEntry made of the group's template.

The WorkloadEntry is a file in a folder of the daemon's, which it reads like any other: it can be looked at, and it outlives
the daemon. It goes when the proxy has been away for a while. Source: Istio's auto-registration.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import WorkloadEntry, WorkloadGroup
from mizzen.config.validation.hosts import is_address, is_subdomain
from mizzen.daemon.admission import UnregisteredError
from mizzen.daemon.store import HEALTH_CHECKED
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.probes import GROUP_ANNOTATION
from mizzen.incremental import Database
from mizzen.xds.catalog import Rejected

FOLDER = "workloads"
AWAY_SECONDS = 10.0  # a proxy that is away for longer has left (Istio's grace period)
RETURN_SECONDS = 60.0  # so long those have that were connected to the daemon's predecessor


class Registrar:
    """`later` calls a function after some seconds; `is_connected` tells whether a workload's proxy is there."""

    def __init__(
        self,
        db: Database,
        folder: Path,
        *,
        later: Callable[[float, Callable[[], None]], object],
        is_connected: Callable[[ResourceKey], bool],
    ) -> None:
        self._db = db
        self._folder = folder
        self._later = later
        self._is_connected = is_connected

    def watch(self) -> None:
        """Begin to forget those that do not come back. Call it once, on the event loop."""
        for path in self._folder.glob("*.yaml"):
            self._later(RETURN_SECONDS, partial(self._forget, path))

    def register(self, wanted: UnregisteredError) -> None:
        """Write the WorkloadEntry; the proxy finds it when it connects again. Raises Rejected where the group does not
        take it.
        """
        if not wanted.group:
            return
        key = ResourceKey("WorkloadGroup", wanted.identity.namespace, wanted.group)
        group: Resource[WorkloadGroup] | None = RESOURCES(self._db, key)
        if group is None or wanted.namespace != wanted.identity.namespace:
            raise Rejected(f"there is no WorkloadGroup {wanted.namespace}/{wanted.group}: write one")
        account = group.spec.template.service_account or "default"
        if account != wanted.identity.service_account:
            raise Rejected(
                f"the certificate of {wanted.identity} may not join {key}, whose service account is {account}"
            )
        if not is_subdomain(wanted.name) or not is_address(wanted.address):
            raise Rejected(f"{wanted.name!r} at {wanted.address!r} is no name and address of a workload")
        path = self._path(wanted.namespace, wanted.name)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(yaml.safe_dump(entry(group, wanted.name, wanted.address), sort_keys=False))
        unfinished.replace(path)

    def left(self, key: ResourceKey) -> None:
        """The proxy of a workload is gone, perhaps for a moment."""
        path = self._path(key.namespace, key.name)
        if path.exists():
            self._later(AWAY_SECONDS, partial(self._forget, path))

    def _forget(self, path: Path) -> None:
        namespace, _, name = path.stem.partition("~")
        if not self._is_connected(ResourceKey("WorkloadEntry", namespace, name)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _path(self, namespace: str, name: str) -> Path:
        return self._folder / f"{namespace}~{name}.yaml"


def entry(group: Resource[WorkloadGroup], name: str, address: str) -> dict[str, Any]:
    """The WorkloadEntry of a member, as it is written."""
    template: WorkloadEntry = group.spec.template
    meta = group.spec.metadata
    checked = {HEALTH_CHECKED: "true"} if group.spec.probe is not None else {}
    labels = {**template.labels, **(meta.labels if meta else {})}
    spec = {
        "address": address,
        "labels": labels,
        "ports": dict(template.ports),
        "serviceAccount": template.service_account,
        "locality": template.locality,
        "network": template.network,
        "weight": template.weight,
    }
    annotations = {**(meta.annotations if meta else {}), GROUP_ANNOTATION: group.key.name, **checked}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": name,
            "namespace": group.key.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {field: value for field, value in spec.items() if value},
    }
