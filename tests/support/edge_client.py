"""A caller from outside of the mesh, for labs: a workload without a sidecar that connects as a test says and tells what it saw."""

import json
from dataclasses import dataclass, field
from typing import Any

from mizzen.lab.definition import Workload
from tests.support.lab import Lab

NAME = "stranger"
PORT = 8000
# POST / with a JSON object: address, port, host, and of TLS: sni, ca, certificate, key, alpn. `count` requests, one after the
# other, each on a connection of its own. `raw`: this line is sent instead of HTTP. Answered by a list of what was seen.
SCRIPT = """
import http.client, http.server, json, os, socket, ssl, tempfile
import h2.connection, h2.events

def context_of(asked):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if asked.get("ca"):
        context.load_verify_locations(cadata=asked["ca"])
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if asked.get("certificate"):
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(asked["certificate"] + asked["key"])
            file.flush()
            context.load_cert_chain(file.name)
    if asked.get("alpn"):
        context.set_alpn_protocols(asked["alpn"])
    return context

def by_http2(connection, asked):
    conversation = h2.connection.H2Connection()
    conversation.initiate_connection()
    head = {":method": "GET", ":scheme": "https", ":authority": asked["host"], ":path": asked.get("path", "/")}
    conversation.send_headers(1, list(head.items()), end_stream=True)
    connection.sendall(conversation.data_to_send())
    headers, body = {}, b""
    while True:
        for event in conversation.receive_data(connection.recv(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.StreamEnded):
                return {"status": int(headers[":status"]), "headers": headers, "body": body.decode()}
        connection.sendall(conversation.data_to_send())

def once(asked):
    with socket.create_connection((asked["address"], asked["port"]), timeout=10) as connection:
        seen = {}
        if asked.get("sni"):
            connection = context_of(asked).wrap_socket(connection, server_hostname=asked["sni"])
            seen["alpn"] = connection.selected_alpn_protocol()
            seen["certificate"] = ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))
        if asked.get("raw"):
            connection.sendall(asked["raw"].encode())
            answer = connection.recv(65536)
            return {**seen, "status": 200 if answer else 0, "body": answer.decode()}
        if seen.get("alpn") == "h2":
            return {**seen, **by_http2(connection, asked)}
        request = f"GET {asked.get('path', '/')} HTTP/1.1\\r\\nHost: {asked['host']}\\r\\nConnection: close\\r\\n\\r\\n"
        connection.sendall(request.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read().decode()
        return {**seen, "status": answer.status, "headers": dict(answer.getheaders()), "body": body}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = []
        for _ in range(asked.get("count", 1)):
            try:
                found.append(once(asked))
            except (OSError, http.client.HTTPException) as error:
                found.append({"status": 0, "error": f"{type(error).__name__}: {error}"})
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def stranger(namespace: str) -> Workload:
    return Workload(
        name=NAME, namespace=namespace, command=("python", "-c", SCRIPT), ports=(PORT,), sidecar=False
    )


@dataclass(frozen=True)
class Seen:
    """What came back. Status 0: no answer, `error` says why."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    error: str = ""
    alpn: str | None = None
    certificate: str = ""


def call(lab: Lab, **asked: Any) -> list[Seen]:
    """Have the stranger call; `asked` is what SCRIPT reads."""
    url = f"http://{lab.address(f'{NAME}-0')}:{PORT}/"
    length = {"Content-Type": "application/json"}
    (response,) = lab.requests(
        NAME, url, length, count=1, method="POST", body=json.dumps(asked).encode(), timeout_seconds=120.0
    )
    assert response.status == 200, response
    return [Seen(**one) for one in json.loads(response.body)]
