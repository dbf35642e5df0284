"""The workloads that lab.yaml describes, as the objects that a running lab registers: so that analysis knows them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import WorkloadEntry
from mizzen.errors import UserError
from mizzen.frozen import FrozenMap
from mizzen.lab.reading import read_definition

DEFINITION = "lab.yaml"


def lab_workloads(paths: Iterable[str]) -> Iterator[Resource[WorkloadEntry]]:
    """One per workload of every lab.yaml that stands directly in one of the folders. One that is wrong is `mizzen up`'s matter."""
    for path in paths:
        file = Path(path) / DEFINITION
        try:
            definition = read_definition(file) if file.is_file() else None
        except UserError:
            continue
        for workload in definition.workloads if definition else ():
            key = ResourceKey("WorkloadEntry", workload.namespace, workload.name)
            labels = FrozenMap(workload.labels)
            yield Resource(
                key, WorkloadEntry(labels=labels, service_account=workload.service_account), labels
            )
