"""A client of HTTP/3 for labs: an Envoy that takes HTTP/1.1 and calls by HTTP/3, which it verifies by a CA's root. Its answers say
in x-protocol which protocol was spoken.
"""

import json

import yaml

from mizzen.envoy_binary import envoy_path
from mizzen.lab.definition import Workload

PORT = 8000
_BOOTSTRAP = """
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 8000}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: server}
                response_headers_to_add: [{header: {key: x-protocol, value: "%UPSTREAM_PROTOCOL%"}}]
  clusters:
  - name: server
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http3_protocol_options: {}}
    transport_socket:
      name: envoy.transport_sockets.quic
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport
        upstream_tls_context:
          common_tls_context: {validation_context: {}}
    load_assignment: {cluster_name: server}
"""


def http3_client(name: str, namespace: str, address: str, host: str, roots: bytes) -> Workload:
    """It asks the server at an address, port 443, for a host whose certificate these roots must have signed."""
    bootstrap = yaml.safe_load(_BOOTSTRAP)
    (cluster,) = bootstrap["static_resources"]["clusters"]
    server = {"socket_address": {"address": address, "port_value": 443}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": server}}]}]
    context = cluster["transport_socket"]["typed_config"]["upstream_tls_context"]
    context["sni"] = host
    context["common_tls_context"]["validation_context"] = {
        "trusted_ca": {"inline_string": roots.decode()},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
    }
    return Workload(
        name=name,
        namespace=namespace,
        command=(str(envoy_path()), "--disable-hot-restart", "--config-yaml", json.dumps(bootstrap)),
        ports=(PORT,),
        sidecar=False,
    )
