"""Kubernetes meta/v1: what every object carries."""

from typing import Any

from mizzen.config.types.message import Message
from mizzen.frozen import EMPTY, FrozenMap


class ObjectMeta(Message):
    """What Mizzen reads is typed; what only an API server uses is let through."""

    name: str = ""
    namespace: str = ""
    labels: FrozenMap[str, str] = EMPTY
    annotations: FrozenMap[str, str] = EMPTY
    creation_timestamp: str = ""  # RFC 3339
    generate_name: Any = None
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    finalizers: Any = None
    owner_references: Any = None
    managed_fields: Any = None
    self_link: Any = None
    cluster_name: Any = None
