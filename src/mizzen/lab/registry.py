"""How workloads become known to the daemon: as Istio's own objects, in a folder that the daemon watches."""

from pathlib import Path
from typing import Any

import yaml

from mizzen.lab.definition import Workload

_EXTRA_PORT_NAME = "http"
# Istio's mark of a workload whose proxy takes mutual TLS.
_TAKES_MUTUAL_TLS = {"security.istio.io/tlsMode": "istio"}

# Istio's mark of a workload that gets no traffic before its agent has reported it well.
_HEALTH_IS_CHECKED = {"proxy.istio.io/health-checks-enabled": "true"}


def register(folder: Path, instance: str, workload: Workload, address: str) -> None:
    """Write the WorkloadEntry of one instance. Raises OSError."""
    named_ports = {port.name: port.number for port in workload.declared_ports() if port.name}
    labels = {**workload.labels, **(_TAKES_MUTUAL_TLS if workload.sidecar else {})}
    metadata = {"name": instance, "namespace": workload.namespace, "labels": labels}
    annotations = {**(_HEALTH_IS_CHECKED if workload.sidecar else {}), **workload.annotations}
    if annotations:
        metadata["annotations"] = annotations
    spec = {
        "address": address,
        "serviceAccount": workload.service_account,
        "labels": labels,
        **({"ports": named_ports} if named_ports else {}),
        **({"locality": workload.locality} if workload.locality else {}),
    }
    _write(
        _entry(folder, instance, workload),
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": metadata,
            "spec": spec,
        },
    )


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
    """Take out the WorkloadEntry of one instance."""
    _entry(folder, instance, workload).unlink(missing_ok=True)


def _entry(folder: Path, instance: str, workload: Workload) -> Path:
    return folder / f"{workload.namespace}.{instance}.yaml"


def _write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all: the daemon reads at any time."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(yaml.safe_dump(document, sort_keys=False))
    unfinished.replace(path)
