"""What analysis is told besides the objects themselves."""

from datetime import datetime
from typing import Any

from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.status import Status
from mizzen.incremental import Index, Input

STATUSES: Input[ResourceKey, Status] = Input("status")
"""The statuses of the objects that have one: apart, so that a status re-runs no other reader."""

TODAY: Input[str, datetime] = Input("today")
"""One entry, under the key "today": when certificates are compared with the clock. Set from outside, once a day."""

FILES: Input[str, bytes] = Input("certificate_file")
"""Certificates in files that objects name by path, as far as they are on this machine."""

ENVOY_VERSIONS: Input[str, str] = Input("envoy_version")
"""The version of Envoy, "1.40.0", by who runs it."""

REMOTE: Input[tuple[str, ResourceKey], Resource[Any]] = Input("remote_resource")
"""Objects of other clusters: (the cluster's name, key)."""


def _remote_key(key: tuple[str, ResourceKey], _: Resource[Any]) -> tuple[ResourceKey]:
    return (key[1],)


REMOTE_BY_KEY = Index("remote_resource_by_key", REMOTE, _remote_key)
