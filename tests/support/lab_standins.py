"""Stand-ins for the daemon and the agent: as small as the lab's skeleton allows, to test the lab without a mesh.

python -m tests.support.lab_standins daemon|agent OPTIONS
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mizzen.lab.definition import Ingress, LabDefinition, Workload
from mizzen.lab.plan import Programs

# Answers every GET with the name of its workload.
_APPLICATION = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["MIZZEN_WORKLOAD"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
AGENT_PORT = 15020


def application(name: str, command: tuple[str, ...] = ("python", "-c", _APPLICATION)) -> Workload:
    return Workload(name=name, labels={"app": name}, command=command, ports=(9080,))


TWO_WORKLOADS = LabDefinition(
    name="two",
    workloads=(application("web"), Workload(name="gateway", gateway=True)),
    # The stand-in of the gateway has no other port.
    ingress=Ingress(workload="gateway", port=AGENT_PORT),
)


def programs() -> Programs:
    alone = (sys.executable, "-P", __file__)  # its neighbours in this folder are no modules for it
    return Programs(
        daemon=(*alone, "daemon"),
        agent=(*alone, "agent"),
    )


class _Json(BaseHTTPRequestHandler):
    documents: dict[str, object]

    def do_GET(self):
        document = self.documents.get(self.path)
        body = json.dumps(document).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


NAMES = {
    "a.demo.svc.cluster.local": {"addresses": ["240.240.0.1"], "externalName": ""},
    "a.example": {"addresses": ["240.240.0.1"], "externalName": ""},
}


def daemon(options):
    web = {"address": "240.240.0.1", "port": 80, "endpoints": [["10.77.0.10", 9080]]}
    documents = {
        "/api/v1/names": {"names": NAMES},
        "/api/v1/service-addresses": {"addresses": [web]},
    }
    handler = type("Handler", (_Json,), {"documents": documents})
    listener = socket.socket(fileno=options.admin_fd)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    unix = _UnixServer(options.admin_socket, handler)
    for each in (server, unix):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    print("ready", flush=True)
    _until_terminated()
    Path(options.admin_socket).unlink()


def agent(options):
    assert Path(options.token_file).read_text().startswith("mzj1.")
    assert "BEGIN CERTIFICATE" in Path(options.root_cert).read_text()
    documents = {"/healthz/ready": {}, "/status": {"envoy": {"pid": os.getpid()}}, "/whoami": options.name}
    handler = type("Handler", (_Json,), {"documents": documents})
    server = ThreadingHTTPServer((options.address, AGENT_PORT), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("agent of", options.name, flush=True)
    _until_terminated()
    print("drained", flush=True)


def _until_terminated():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["daemon", "agent"])
    for name in ("--admin-socket", "--address", "--name", "--token-file", "--root-cert"):
        parser.add_argument(name)
    parser.add_argument("--admin-fd", type=int)
    options, _ = parser.parse_known_args()
    {"daemon": daemon, "agent": agent}[options.part](options)


if __name__ == "__main__":
    sys.exit(main())
