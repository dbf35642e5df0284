"""Host names: short names, wildcards, and which of several patterns is the most specific."""

from collections.abc import Iterable

DOMAIN = "svc.cluster.local"


def service_host(name: str, namespace: str) -> str:
    """The fully qualified name of a Kubernetes Service."""
    return f"{name}.{namespace}.{DOMAIN}"


def owner_of(host: str) -> str:
    """The namespace in the name of a Kubernetes Service; "" for other hosts."""
    if not host.endswith("." + DOMAIN):
        return ""
    name, _, owner = host.removesuffix("." + DOMAIN).rpartition(".")
    return owner if name else ""


def qualified(host: str, namespace: str) -> str:
    """A host as an object of `namespace` means it: a name without a dot is a service of that namespace (Istio's
    rule for VirtualService and DestinationRule).
    """
    return host if "." in host or host == "*" else service_host(host, namespace)


def matches(pattern: str, host: str) -> bool:
    """Whether a pattern (exact, "*", or "*.suffix") covers a host, itself perhaps a wildcard."""
    if pattern in {host, "*"}:
        return True
    return pattern.startswith("*") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[1:]


def most_specific(patterns: Iterable[str], host: str) -> str | None:
    """The pattern that wins for a host: an exact one, else the longest wildcard."""
    covering = [pattern for pattern in patterns if matches(pattern, host)]
    return max(covering, key=lambda pattern: (not pattern.startswith("*"), len(pattern)), default=None)


def aliases(host: str, namespace: str) -> tuple[str, ...]:
    """Every name by which a caller in `namespace` may call a service: full, and the short forms that its DNS
    search path resolves.
    """
    if not host.endswith("." + DOMAIN):
        return (host,)
    name, _, owner = host.removesuffix("." + DOMAIN).rpartition(".")
    if not name:
        return (host,)
    short = (name,) if owner == namespace else ()
    return (host, *short, f"{name}.{owner}", f"{name}.{owner}.svc")
