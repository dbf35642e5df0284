"""A real Envoy that is configured by a discovery server of the test, and HTTP servers behind it."""

import asyncio
import contextlib
import json
import re
import socket
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from mizzen.envoy_binary import envoy_path
from mizzen.proto.api import (
    AnyMessage,
    Cluster,
    ClusterLoadAssignment,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
    Router,
)
from mizzen.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, DiscoveryResource, discovery_resource

ADS = {"ads": {}, "resource_api_version": "V3"}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _any(message):
    type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
    return AnyMessage(type_url=type_url, value=message.SerializeToString(deterministic=True))


def _resource(type_url, name, message, warms=()) -> DiscoveryResource:
    return discovery_resource(type_url, name, message.SerializeToString(deterministic=True), warms)


def cluster(name, connect_timeout_s=1):
    message = Cluster(
        name=name,
        type="EDS",
        eds_cluster_config={"eds_config": ADS},
        connect_timeout={"seconds": connect_timeout_s},
    )
    return _resource(CLUSTER, name, message, ((ENDPOINT, name),))


def endpoints(name, *ports):
    hosts = [{"endpoint": {"address": _address(port)}} for port in ports]
    return _resource(
        ENDPOINT, name, ClusterLoadAssignment(cluster_name=name, endpoints=[{"lb_endpoints": hosts}])
    )


def listener(name, port, route, stat_prefix="in"):
    """An HTTP listener; Envoy refuses an empty `stat_prefix`."""
    manager = HttpConnectionManager(
        stat_prefix=stat_prefix,
        rds={"config_source": ADS, "route_config_name": route},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": _any(Router())}],
    )
    chain = {"filters": [{"name": "http", "typed_config": _any(manager)}]}
    return _resource(LISTENER, name, Listener(name=name, address=_address(port), filter_chains=[chain]))


def routes(name, to):
    everything = {"match": {"prefix": "/"}, "route": {"cluster": to}}
    host = {"name": "all", "domains": ["*"], "routes": [everything]}
    return _resource(ROUTE, name, RouteConfiguration(name=name, virtual_hosts=[host]))


def _bootstrap(ads_port, admin: Path):
    h2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    back_off = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}
    xds = {
        "name": "xds",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": h2},
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(ads_port)}}]}],
        },
    }
    return {
        "node": {"id": "proxy", "cluster": "c"},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": back_off}}],
            },
            "lds_config": {**ADS, "initial_fetch_timeout": "0s"},
            "cds_config": {**ADS, "initial_fetch_timeout": "0s"},
        },
        "static_resources": {"clusters": [xds]},
    }


class RunningEnvoy:
    def __init__(self, admin: Path) -> None:
        self._admin = admin

    async def admin(self, path):
        _, body = await _get(path, *await asyncio.open_unix_connection(str(self._admin)))
        return body

    async def clusters_in_force(self):
        """Name -> cluster, of those that are warm."""
        dump = json.loads(await self.admin("/config_dump?resource=dynamic_active_clusters"))
        return {each["cluster"]["name"]: each["cluster"] for each in dump.get("configs", ())}


@asynccontextmanager
async def envoy(ads_port):
    with tempfile.TemporaryDirectory() as folder:
        config, admin, log = Path(folder, "envoy.json"), Path(folder, "admin.sock"), Path(folder, "log")
        config.write_text(json.dumps(_bootstrap(ads_port, admin)))
        flags = (
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
            "--log-path",
            str(log),
        )
        process = await asyncio.create_subprocess_exec(str(envoy_path()), "-c", str(config), *flags)
        try:
            yield RunningEnvoy(admin)
        except BaseException:
            print(log.read_text() if log.exists() else "Envoy wrote no log")
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@asynccontextmanager
async def backend(name):
    """An HTTP server that answers its name; gives its port."""

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def get(port):
    """(status, body) of a request to a listener; (0, "") where nothing listens yet."""
    try:
        return await _get("/", *await asyncio.open_connection("127.0.0.1", port))
    except ConnectionError:
        return 0, ""


async def _get(path, reader, writer):
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await (reader.readexactly(int(length[1])) if length else reader.read())
    except asyncio.IncompleteReadError:
        return 0, ""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(part for number, part in enumerate(body.split(b"\r\n")) if number % 2)
    return int(head.split()[1]), body.decode()
