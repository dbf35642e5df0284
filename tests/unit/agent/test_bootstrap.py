"""Envoy's bootstrap, as Envoy reads it."""

import json

import pytest

from mizzen.agent.bootstrap import bootstrap_text, build_bootstrap, write_bootstrap
from mizzen.agent.settings import parse
from mizzen.errors import UserError

REQUIRED = ["--name", "w", "--address", "10.0.0.2", "--root-cert", "r", "--state-dir", "s"]


def bootstrap(*arguments: str):
    return json.loads(
        bootstrap_text(build_bootstrap(parse([*REQUIRED, "--daemon", "10.0.0.1:15012", *arguments])))
    )


def clusters(document):
    return {cluster["name"]: cluster for cluster in document["static_resources"]["clusters"]}


def test_discovery_is_delta_and_patient():
    dynamic = bootstrap()["dynamic_resources"]
    assert dynamic["ads_config"]["api_type"] == "DELTA_GRPC"
    assert dynamic["ads_config"]["set_node_on_first_message_only"] is True
    grpc = dynamic["ads_config"]["grpc_services"][0]["envoy_grpc"]
    assert grpc == {
        "cluster_name": "xds-grpc",
        "retry_policy": {"retry_back_off": {"base_interval": "0.100s", "max_interval": "2s"}},
    }
    assert {dynamic[kind]["initial_fetch_timeout"] for kind in ("lds_config", "cds_config")} == {"0s"}


def test_the_daemon_is_verified_by_name_and_root_and_shown_the_certificate():
    cluster = clusters(bootstrap())["xds-grpc"]
    assert cluster["type"] == "STATIC"
    tls = cluster["transport_socket"]["typed_config"]
    assert tls["sni"] == "mizzen.mizzen-system.svc"
    common = tls["common_tls_context"]
    assert [secret["name"] for secret in common["tls_certificate_sds_secret_configs"]] == ["default"]
    validation = common["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "ROOTCA"
    assert validation["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "mizzen.mizzen-system.svc"}}
    ]


def test_a_daemon_with_a_name_is_resolved_again_and_again():
    assert clusters(bootstrap("--daemon", "mesh.example:15012"))["xds-grpc"]["type"] == "STRICT_DNS"


def test_every_daemon_is_an_endpoint_and_a_broken_stream_goes_to_the_next():
    cluster = clusters(bootstrap("--daemon", "10.0.0.7:15013", "--daemon", "10.0.0.1:15012"))["xds-grpc"]
    (locality,) = cluster["load_assignment"]["endpoints"]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in locality["lb_endpoints"]]
    assert addresses == [
        {"address": "10.0.0.1", "port_value": 15012},
        {"address": "10.0.0.7", "port_value": 15013},
    ]
    assert cluster["type"] == "STATIC"
    assert cluster.get("lb_policy", "ROUND_ROBIN") == "ROUND_ROBIN"


def test_paths_are_relative_to_the_folder_in_which_envoy_works():
    document = bootstrap()
    endpoint = clusters(document)["sds-grpc"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0][
        "endpoint"
    ]
    assert endpoint["address"]["pipe"]["path"] == "sds.sock"
    assert document["admin"]["address"]["pipe"] == {"path": "envoy-admin.sock", "mode": 0o600}


def test_a_mark_goes_on_every_connection_that_envoy_opens():
    assert "upstream_bind_config" not in bootstrap()["cluster_manager"]
    assert (
        "upstream_bind_config" not in bootstrap("--mark", "99", "--interception", "none")["cluster_manager"]
    )
    bound = bootstrap("--mark", "99")["cluster_manager"]["upstream_bind_config"]
    assert bound["socket_options"] == [{"level": "1", "name": "36", "int_value": "99"}]


def test_the_node_says_what_the_daemon_needs_to_know():
    given = ("--label", "app=a", "--app-port", "80=8080", "--http-proxy-port", "15002")
    node = bootstrap(*given, "--capture-ipv6", "off")["node"]
    assert node["id"] == "sidecar~10.0.0.2~w.default~default.svc.cluster.local"
    assert node["cluster"] == "a.default"
    assert node["metadata"] == {
        "NAME": "w",
        "NAMESPACE": "default",
        "SERVICE_ACCOUNT": "default",
        "INTERCEPTION_MODE": "REDIRECT",
        "LABELS": {"app": "a"},
        "APP_PORTS": {"80": 8080},
        "HTTP_PROXY_PORT": 15002,
        "CAPTURE_IPV6": False,
        "ENVOY_VERSION": "1.40.0",
    }


def test_the_file_is_private_even_if_it_was_not(tmp_path):
    path = tmp_path / "bootstrap.json"
    path.write_text("old")
    path.chmod(0o644)
    write_bootstrap("new", path, None)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot write Envoy's bootstrap .*/no/b: No such file"):
        write_bootstrap("", tmp_path / "no" / "b", None)


def test_what_is_set_for_one_proxy():
    options = [
        "--keep-statistic",
        "prefix=http.",
        "--keep-statistic",
        "regex=.*_rq_.*",
        "--max-connections",
        "7",
    ]
    runtime = ["--runtime", "a.share=0.5", "--runtime", "b.on=true", "--runtime", "c.text=hello"]
    document = bootstrap(*options, *runtime)
    kept = document["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    assert {"prefix": "http."} in kept
    assert {"safe_regex": {"regex": ".*_rq_.*"}} in kept
    (limit,) = document["overload_manager"]["resource_monitors"]
    assert limit["typed_config"]["max_active_downstream_connections"] == "7"
    (layer,) = document["layered_runtime"]["layers"]
    fragments = {"envoy.reloadable_features.http_reject_path_with_fragment": False}  # they are cut off
    assert layer["static_layer"] == {"a.share": 0.5, "b.on": True, "c.text": "hello", **fragments}
