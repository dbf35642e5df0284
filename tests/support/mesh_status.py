"""A bookinfo mesh as the admin API would report it, for tests and for looking at the console and the terminal."""

import math

from mizzen.admin.schema import (
    ChangeReport,
    Denial,
    DiagnosticReport,
    Edge,
    MeshStatus,
    Rejection,
    Split,
    SyncState,
    TrafficReport,
    WorkloadStatus,
)

TYPES = {"listeners": 9, "routes": 4, "clusters": 14, "endpoints": 12, "secrets": 2}
NOW = 1_795_000_000.0


def identity(account: str, namespace: str = "bookinfo") -> str:
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


def _namespace(workload: str) -> str:
    return workload.partition("/")[0]


def bookinfo_status(now: float = NOW) -> MeshStatus:
    """Everything at once: traffic, a split, a denial, a rejection, a diagnostic, a change under way."""
    return MeshStatus(
        version="0.1.0",
        revision=42,
        started=now - 754,
        now=now,
        trust_domain="cluster.local",
        workloads=_workloads(now),
        rejections=(
            Rejection(
                proxy="bookinfo/productpage-0",
                type_name="listeners",
                resource="0.0.0.0_9080",
                error="Proto constraint validation failed (RetryPolicyValidationError.NumRetries: value must be "
                "less than or equal to 100)",
                origins=("VirtualService bookinfo/ratings at samples/bookinfo/routes.yaml:41:7",),
                since=now - 12,
            ),
        ),
        diagnostics=(
            DiagnosticReport(
                code="IST0101",
                severity="error",
                message='Referenced host+subset in destinationrule not found: "reviews+v4"',
                resource="VirtualService bookinfo/reviews",
                location="samples/bookinfo/routes.yaml:17:13",
                hint="define subset v4 in a DestinationRule of reviews, or route to a subset that exists",
            ),
            DiagnosticReport(
                code="MZ0102",
                severity="warning",
                message="the file is broken; what it said before stays in force",
                resource="",
                location="samples/bookinfo/faults.yaml:3:1",
            ),
        ),
        changes=_changes(now),
        traffic=_traffic(now),
    )


def _workloads(now: float) -> tuple[WorkloadStatus, ...]:
    names = ["productpage-0", "details-0", "ratings-0", "reviews-v1-0", "reviews-v2-0", "reviews-v3-0"]
    sidecars = [
        _workload(f"bookinfo/{name}", "sidecar", f"10.77.0.{11 + place}", name.split("-")[0], now)
        for place, name in enumerate(names)
    ]
    return (_workload("istio-system/ingress-0", "gateway", "10.77.0.10", "ingress", now), *sidecars)


def _workload(name: str, kind: str, address: str, account: str, now: float) -> WorkloadStatus:
    states = dict.fromkeys(TYPES, "synced")
    if account == "productpage":
        states["listeners"] = "rejected"
    if name.endswith("reviews-v3-0"):
        states["routes"] = "pending"
    return WorkloadStatus(
        name=name,
        kind=kind,
        address=address,
        labels={"app": account, "version": "v1"},
        identity=identity(account, _namespace(name)),
        connected=account != "ratings",
        healthy=account != "ratings",
        health_reason="GET /health answered 503" if account == "ratings" else "",
        certificate_expires=now + 3600 * 11,
        sync=tuple(
            SyncState(type_name=type_name, state=states[type_name], resources=count, version="c0ffee42")
            for type_name, count in TYPES.items()
        ),
    )


def _edge(source: str, destination: str, host: str, per_second: float, **more) -> Edge:
    def account(workload):
        return workload.split("/")[1].split("-")[0]

    secure = more.pop("mutual_tls", True)
    return Edge(
        source=source,
        destination=destination,
        service=f"{host}.bookinfo.svc.cluster.local",
        protocol="http",
        mutual_tls=secure,
        source_principal=identity(account(source), _namespace(source)) if secure else "",
        destination_principal=identity(account(destination)) if secure else "",
        requests_per_second=per_second,
        requests_total=round(per_second * 754),
        **more,
    )


def _traffic(now: float) -> TrafficReport:
    # A little movement, so that what is drawn can be seen to follow.
    wave = 1 + 0.15 * math.sin(now / 3)
    page = "bookinfo/productpage-0"
    edges = (
        _edge("bookinfo/reviews-v2-0", "bookinfo/ratings-0", "ratings", 1.4 * wave),
        _edge("bookinfo/reviews-v3-0", "bookinfo/ratings-0", "ratings", 12.1 * wave, errors_per_second=2.4),
        _edge(page, "bookinfo/details-0", "details", 14.2 * wave, mutual_tls=False),
        _edge(page, "bookinfo/reviews-v1-0", "reviews", 11.4 * wave),
        _edge(page, "bookinfo/reviews-v2-0", "reviews", 1.4 * wave),
        _edge(page, "bookinfo/reviews-v3-0", "reviews", 1.4 * wave),
        _edge("istio-system/ingress-0", page, "productpage", 14.2 * wave),
        _edge("bookinfo/ratings-0", "bookinfo/reviews-v1-0", "reviews", 0.5, denied_per_second=0.5),
    )
    return TrafficReport(
        window_seconds=10.0,
        requests_per_second=sum(edge.requests_per_second for edge in edges),
        edges=edges,
        splits=(
            Split(
                service="reviews.bookinfo.svc.cluster.local",
                requests_by_version={"v1": 114, "v2": 15, "v3": 13},
            ),
        ),
        denials=(
            Denial(
                source_principal=identity("ratings"),
                destination="bookinfo/reviews-v1-0",
                policy="no ALLOW policy matched (bookinfo/reviews-viewer)",
                requests_total=377,
                last_seen=now - 2,
            ),
        ),
    )


def _changes(now: float) -> tuple[ChangeReport, ...]:
    proxies = [workload.name for workload in _workloads(now)]
    return (
        ChangeReport(
            revision=42,
            time=now - 1.2,
            objects=("VirtualService bookinfo/reviews",),
            proxies={
                name: "pending" if "reviews-v3" in name else "acked" for name in proxies if "reviews" in name
            },
        ),
        ChangeReport(
            revision=41,
            time=now - 12,
            objects=("VirtualService bookinfo/ratings",),
            proxies={name: "rejected" if "productpage" in name else "acked" for name in proxies},
        ),
        ChangeReport(
            revision=40,
            time=now - 95,
            objects=("AuthorizationPolicy bookinfo/reviews-viewer", "PeerAuthentication bookinfo/default"),
            proxies=dict.fromkeys(proxies, "acked"),
        ),
    )


def empty_status(now: float = NOW) -> MeshStatus:
    """A daemon that has just started: nothing is there yet."""
    return MeshStatus(
        version="0.1.0",
        revision=0,
        started=now,
        now=now,
        trust_domain="cluster.local",
        workloads=(),
        rejections=(),
        diagnostics=(),
        changes=(),
        traffic=TrafficReport(window_seconds=10.0, requests_per_second=0.0, edges=(), splits=(), denials=()),
    )
