"""Labels that Envoy keeps in short for Istio's metrics, and that the agent writes out when it is scraped.

Envoy evaluates and keeps each label of each metric for every request and series: that is most of what metrics cost. So there is one,
whose value has the others, and what a proxy says of its own workload is not there at all: it is the same in all its series.
"""

SHORT = "mizzen"
"""The label that has the others: its value is FIELDS, with BETWEEN them. What is not known is empty or "-"."""

BETWEEN = ";"

FIELDS = (
    "reporter",
    "request_protocol",
    "connection_security_policy",
    "response_code",
    "response_flags",
    "grpc_response_status",
    "service",  # its names, OF_SERVICE
    "source_principal",
    "destination_principal",
    "peer",  # the workload on the other side, as in a certificate's subject (`model/subject.py`); last: it may have any text
)

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
"""Istio's labels of a service, whose values are one text: host|name|namespace."""
