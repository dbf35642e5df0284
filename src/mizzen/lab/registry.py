"""How workloads become known to the daemon: as Istio's own objects, in a folder that the daemon watches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mizzen.lab.definition import Workload

_EXTRA_PORT_NAME = "http"
# Istio's mark of a workload whose proxy takes mutual TLS, whatever is sent to it. A gateway takes what its servers say.
_TAKES_MUTUAL_TLS = {"security.istio.io/tlsMode": "istio"}

# Istio's mark of a workload that gets no traffic before its agent has reported it well.
_HEALTH_IS_CHECKED = {"proxy.istio.io/health-checks-enabled": "true"}


def register(folder: Path, instance: str, workload: Workload, addresses: Sequence[str]) -> None:
    """Write the WorkloadEntry of one instance, or, as that holds one address alone, its Pod. Raises OSError."""
    takes_mutual_tls = workload.sidecar and not workload.gateway
    metadata = {
        "name": instance,
        "namespace": workload.namespace,
        "labels": {**workload.labels, **(_TAKES_MUTUAL_TLS if takes_mutual_tls else {})},
    }
    annotations = {**(_HEALTH_IS_CHECKED if workload.sidecar else {}), **workload.annotations}
    if annotations:
        metadata["annotations"] = annotations
    made = _entry_of if len(addresses) == 1 else _pod_of
    _write(_file(folder, instance, workload), made(workload, metadata, addresses))


def _entry_of(workload: Workload, metadata: dict[str, Any], addresses: Sequence[str]) -> dict[str, Any]:
    named_ports = {port.name: port.number for port in workload.declared_ports() if port.name}
    spec = {
        "address": addresses[0],
        "serviceAccount": workload.service_account,
        "labels": metadata["labels"],
        **({"ports": named_ports} if named_ports else {}),
        **({"locality": workload.locality} if workload.locality else {}),
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": metadata,
        "spec": spec,
    }


def _pod_of(workload: Workload, metadata: dict[str, Any], addresses: Sequence[str]) -> dict[str, Any]:
    ports = [
        {"containerPort": port.number, **({"name": port.name} if port.name else {})}
        for port in workload.declared_ports()
    ]
    locality = {"istio-locality": workload.locality.replace("/", ".")} if workload.locality else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": {**metadata["labels"], **locality}},
        "spec": {
            "serviceAccountName": workload.service_account,
            "containers": [{"name": "application", "ports": ports}],
        },
        "status": {"phase": "Running", "podIPs": [{"ip": address} for address in addresses]},
    }


def serve(folder: Path, workload: Workload) -> None:
    """Write a Service for a workload that was named on the command line, where nobody has written one. Raises OSError."""
    ports = [
        {"name": port.name or _EXTRA_PORT_NAME, "port": port.number, "targetPort": port.number}
        for port in workload.declared_ports()
    ]
    _write(
        folder / f"{workload.namespace}.{workload.name}.service.yaml",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": workload.name, "namespace": workload.namespace},
            "spec": {"selector": {"app": workload.name}, "ports": ports},
        },
    )


def unregister(folder: Path, instance: str, workload: Workload) -> None:
    """Take out what was written of one instance."""
    _file(folder, instance, workload).unlink(missing_ok=True)


def _file(folder: Path, instance: str, workload: Workload) -> Path:
    return folder / f"{workload.namespace}.{instance}.yaml"


def _write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all: the daemon reads at any time."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(yaml.safe_dump(document, sort_keys=False))
    unfinished.replace(path)
