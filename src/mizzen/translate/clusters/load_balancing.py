"""Load balancing between the endpoints of a cluster, localities apart.

Source: Istio's mapping of DestinationRule `loadBalancer`. Least request is the default.
"""

from typing import Any

from mizzen.config.types.networking import (
    ConsistentHashLB,
    LoadBalancerSettings,
    SimpleLB,
    WarmupConfiguration,
)

# Envoy lets a runtime key override the value; nobody sets this one.
_AGGRESSION_KEY = "mizzen.warmup_aggression"
_RING_SIZE = 1024


def load_balancing(settings: LoadBalancerSettings | None) -> dict[str, Any]:
    """Fields of Envoy's Cluster. What a consistent hash hashes stands in routes, or in the TCP proxy."""
    if settings is None:
        return {"lb_policy": "LEAST_REQUEST"}
    if settings.consistent_hash is not None:
        return _consistent_hash(settings.consistent_hash)
    if settings.simple is SimpleLB.PASSTHROUGH:
        return {"lb_policy": "CLUSTER_PROVIDED"}
    if settings.simple is SimpleLB.RANDOM:
        return {"lb_policy": "RANDOM"}
    warmup = _slow_start(settings)
    if settings.simple is SimpleLB.ROUND_ROBIN:
        config = {"round_robin_lb_config": {"slow_start_config": warmup}} if warmup else {}
        return {"lb_policy": "ROUND_ROBIN", **config}
    config = {"least_request_lb_config": {"slow_start_config": warmup}} if warmup else {}
    return {"lb_policy": "LEAST_REQUEST", **config}


def _consistent_hash(hashing: ConsistentHashLB) -> dict[str, Any]:
    if hashing.maglev is not None:
        size = hashing.maglev.table_size
        return {
            "lb_policy": "MAGLEV",
            **({"maglev_lb_config": {"table_size": {"value": size}}} if size else {}),
        }
    ring = hashing.ring_hash.minimum_ring_size if hashing.ring_hash else 0
    size = ring or hashing.minimum_ring_size or _RING_SIZE
    return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": {"value": size}}}


def _slow_start(settings: LoadBalancerSettings) -> dict[str, Any] | None:
    """A new endpoint's share grows. Envoy's defaults are Istio's: linear, from a tenth of the share."""
    warmup = settings.warmup
    if warmup is None and settings.warmup_duration_secs is not None:
        warmup = WarmupConfiguration(duration=settings.warmup_duration_secs)
    if warmup is None:
        return None
    made: dict[str, Any] = {"slow_start_window": warmup.duration}
    if warmup.aggression is not None:
        made["aggression"] = {"default_value": warmup.aggression, "runtime_key": _AGGRESSION_KEY}
    if warmup.minimum_percent is not None:
        made["min_weight_percent"] = {"value": warmup.minimum_percent}
    return made
