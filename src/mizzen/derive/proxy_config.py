"""The settings of one workload's proxy: the mesh's, over them ProxyConfig objects, over them its own annotation.

Source: Istio's order: MeshConfig.defaultConfig, the root namespace's ProxyConfig, the namespace's, the one whose selector
picks the workload, the annotation. Of several in one place the oldest holds.
"""

from msgspec.structs import replace

from mizzen.config import proxy_annotation
from mizzen.config.resource import Resource, ResourceKey
from mizzen.config.types.networking import ProxyConfig as ProxyConfigResource
from mizzen.config.types.proxy import ProxyConfig
from mizzen.derive.age import oldest_first
from mizzen.derive.mesh import mesh_config, root_namespace
from mizzen.derive.workloads import covers, workload
from mizzen.frozen import FrozenMap
from mizzen.incremental import Database, query
from mizzen.model.proxy import ProxySettings


@query
def _holding(
    db: Database, namespace: str, labels: FrozenMap[str, str]
) -> tuple[Resource[ProxyConfigResource], ...]:
    """The ProxyConfigs that hold for a workload, the most general first."""
    general = (
        next((found for found in oldest_first(db, "ProxyConfig", scope) if found.spec.selector is None), None)
        for scope in dict.fromkeys((root_namespace(db), namespace))
    )
    own = next(
        (
            found
            for found in oldest_first(db, "ProxyConfig", namespace)
            if found.spec.selector is not None and covers(found.spec.selector.match_labels, labels)
        ),
        None,
    )
    return tuple(found for found in (*general, own) if found is not None)


@query
def proxy_config(db: Database, key: ResourceKey) -> ProxyConfig:
    """Everything that is set for the proxy of a workload, for whoever starts it."""
    config = mesh_config(db).default_config
    found = workload(db, key)
    if found is None:
        return config
    for resource in _holding(db, found.namespace, found.labels):
        spec = resource.spec
        merged = {**config.proxy_metadata, **spec.environment_variables}
        config = replace(
            config,
            concurrency=config.concurrency if spec.concurrency is None else spec.concurrency,
            proxy_metadata=FrozenMap(merged),
        )
    return proxy_annotation.read(found.proxy_config).over(config)


def proxy_settings(annotation: str) -> ProxySettings:
    """What discovery serves otherwise to a proxy of its own settings: those that only its annotation can say."""
    own = proxy_annotation.read(annotation).config
    return ProxySettings(own.proxy_headers, own.gateway_topology, own.connection_settings)
