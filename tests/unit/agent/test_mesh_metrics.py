"""What Prometheus gets of the mesh: Istio's names and labels, and "unknown" for those without a value."""

import re

from mizzen.agent.mesh_metrics import with_mesh_names


def test_names_and_empty_labels_of_the_mesh_alone_are_changed():
    envoy = b"""# TYPE envoy_istio_requests_total counter
envoy_istio_requests_total{source_app="",response_code="200",response_flags="-"} 3
# TYPE envoy_server_state gauge
envoy_server_state{x=""} 0
# TYPE envoy_mizzen_x counter
envoy_mizzen_x{} 1
envoy_cluster_istio_named_thing{a=""} 1
"""
    assert (
        with_mesh_names(envoy, {})
        == b"""# TYPE istio_requests_total counter
istio_requests_total{source_app="unknown",response_code="200",response_flags="-"} 3
# TYPE envoy_server_state gauge
envoy_server_state{x=""} 0
# TYPE mizzen_x counter
mizzen_x{} 1
envoy_cluster_istio_named_thing{a=""} 1
"""
    )


OWN = {"workload": "web-1", "namespace": "shop", "canonical-name": "web", "cluster": "Kubernetes"}


def labels_of(text: bytes) -> dict[str, str]:
    found = re.fullmatch(rb"\w+{(.*)} \d+\n", text)
    assert found, text
    return dict(re.findall(r'(\w+)="([^"]*)"', found[1].decode()))


def test_labels_in_short_are_written_out():
    said = (
        b'envoy_istio_requests_total{mizzen="source;http;unknown;200;-;;db.data.svc.cluster.local|db|data;-;-;'
        b'OU=canonical-name=db,OU=namespace=data,OU=workload=db-1"} 3\n'
    )
    assert labels_of(with_mesh_names(said, OWN)) == {
        "reporter": "source",
        "source_workload": "web-1",
        "source_workload_namespace": "shop",
        "source_canonical_service": "web",
        "source_canonical_revision": "unknown",
        "source_app": "web",
        "source_version": "unknown",
        "source_cluster": "Kubernetes",
        "source_principal": "unknown",
        "destination_workload": "db-1",
        "destination_workload_namespace": "data",
        "destination_canonical_service": "db",
        "destination_canonical_revision": "unknown",
        "destination_app": "db",
        "destination_version": "unknown",
        "destination_cluster": "unknown",
        "destination_principal": "unknown",
        "destination_service": "db.data.svc.cluster.local",
        "destination_service_name": "db",
        "destination_service_namespace": "data",
        "connection_security_policy": "unknown",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
    }


def test_a_protocol_has_its_own_labels():
    said = b'envoy_istio_x{mizzen="source;%b;unknown;;UF;%b;-;-;-;-"} 1\n'
    tcp = labels_of(with_mesh_names(said % (b"tcp", b""), OWN))
    assert tcp["response_flags"] == "UF"
    assert tcp.keys().isdisjoint({"response_code", "grpc_response_status"})
    grpc = labels_of(with_mesh_names(said % (b"grpc", b"14"), OWN))
    assert (grpc["grpc_response_status"], grpc["destination_service"]) == ("14", "unknown")


def test_a_destination_believes_the_subject_of_a_certificate_alone():
    said = (
        b'envoy_istio_x{mizzen="destination;http;mutual_tls;200;-;;|InboundPassthroughCluster|;spiffe://a;spiffe://b;'
        b'CN=a\\\\,OU=workload=forged,O=\\"x;y\\"",added="1"} 1\n'
    )
    found = labels_of(with_mesh_names(said, OWN))
    assert (found["reporter"], found["destination_workload"], found["source_workload"]) == (
        "destination",
        "web-1",
        "unknown",
    )
    assert found["destination_service_name"] == "InboundPassthroughCluster"
    assert (found["source_principal"], found["destination_principal"]) == ("spiffe://a", "spiffe://b")
    assert found["added"] == "1"
    assert "mizzen" not in found


def test_what_a_caller_sent_that_is_no_text_hides_nothing_from_prometheus():
    envoy = 'envoy_istio_x{a="ä"} 1\nenvoy_istio_x{a="'.encode() + b'\xff\xc3"} 2\n'
    text = with_mesh_names(envoy, {}).decode()
    assert text == 'istio_x{a="ä"} 1\nistio_x{a="\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"} 2\n'
