"""Labels that Envoy keeps in short for Istio's metrics, and that the agent writes out when it is scraped.

Envoy evaluates and keeps each label of each metric for every request and series: that is most of what metrics cost. Nine are
enough. What a proxy says of its own workload is the same in all its series; what it says of the other side is one text, the
subject of its certificate (`model/subject.py`), and so are the names of a service.
"""

REPORTER = "reporter_and_self"
"""`reporter`, and all that the reporter knows of itself."""
PEER = "peer"
"""The workload on the other side: the facts as in a certificate's subject."""
SERVICE = "service_in_short"
"""Of the destination: host|name|namespace."""

OF_WORKLOAD = {
    "workload": "workload",
    "workload_namespace": "namespace",
    "canonical_service": "canonical-name",
    "canonical_revision": "canonical-revision",
    "app": "canonical-name",
    "version": "canonical-revision",
    "cluster": "cluster",
}
"""Istio's labels of a workload, after `source_` or `destination_` -> the fact that it tells, by its key in a subject."""

OF_SERVICE = ("destination_service", "destination_service_name", "destination_service_namespace")
"""Istio's labels of a service, in the order of SERVICE."""
