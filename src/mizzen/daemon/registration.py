"""Workloads that register themselves through a WorkloadGroup: each gets a WorkloadEntry made of the group's template.

The WorkloadEntry is a file in a folder of the daemons', which they read like any other: it can be looked at, it outlives
the daemon, and a registration with one of them is one with all. It goes when the proxy has been away for a while
(`daemon.presence`). Source: Istio's auto-registration.
"""

from pathlib import Path
from typing import Any

import yaml

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import WorkloadEntry, WorkloadGroup
from mizzen.config.validation.hosts import is_address, is_subdomain
from mizzen.daemon.admission import UnregisteredError
from mizzen.daemon.presence import ENTRY, stem
from mizzen.daemon.store import HEALTH_CHECKED
from mizzen.derive.inputs import RESOURCES
from mizzen.derive.probes import GROUP_ANNOTATION
from mizzen.incremental import Database
from mizzen.xds.catalog import Rejected

FOLDER = "workloads"


class Registrar:
    """`own`: the daemon's name among those that share the folder."""

    def __init__(self, db: Database, folder: Path, own: str) -> None:
        self._db = db
        self._folder = folder
        self._own = own

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
        name = stem(ResourceKey("WorkloadEntry", wanted.namespace, wanted.name))
        unfinished = (
            self._folder / f"{name}.{self._own}"
        )  # the proxy may be asking another daemon at the same time
        unfinished.write_text(yaml.safe_dump(entry(group, wanted.name, wanted.address), sort_keys=False))
        unfinished.replace(self._folder / f"{name}{ENTRY}")


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
