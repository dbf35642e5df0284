"""A mesh in which there is something to tell: hops of requests in two versions, and a stream. For labs."""

from mizzen.lab.definition import Port, Workload

# Answers with the headers that it got; ?status=N; ?next=URL: asks there first, and passes the trace's headers on.
HOP = """
import http.server, json, os, urllib.error, urllib.request
from urllib.parse import parse_qs, urlparse
PASSED_ON = ("traceparent", "tracestate", "x-request-id")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        asked = {key: values[0] for key, values in parse_qs(urlparse(self.path).query).items()}
        if "next" in asked:
            headers = {name: self.headers[name] for name in PASSED_ON if self.headers[name]}
            urllib.request.urlopen(urllib.request.Request(asked["next"], headers=headers), timeout=10).read()
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(int(asked.get("status", 200)))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((os.environ["HOST"], 8000), Handler).serve_forever()
"""
# Echoes one message of each connection. On port 8002 it asks another to do so when it is asked to: GET /<host>/<port>/<count>.
STREAM = """
import http.server, os, socket, socketserver, threading
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(1000) * 2)
class Ask(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, host, port, count = self.path.split("/")
        for _ in range(int(count)):
            with socket.create_connection((host, int(port)), 10) as there:
                there.sendall(b"ping!")
                received = b""
                while len(received) < 10 and (more := there.recv(100)):
                    received += more
                assert received == b"ping!ping!", received
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
asking = http.server.ThreadingHTTPServer((os.environ["HOST"], 8002), Ask)
threading.Thread(target=asking.serve_forever, daemon=True).start()
socketserver.ThreadingTCPServer((os.environ["HOST"], 9000), Echo).serve_forever()
"""
MESH = """
apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  extensionProviders:
  - name: otlp
    opentelemetry: {service: collector.tools.svc.cluster.local, port: 4317}
  - name: lines
    envoyOtelAls:
      service: collector.tools.svc.cluster.local
      port: 4317
      logFormat: {text: "%RESPONSE_CODE%", labels: {path: "%PATH%"}}
  - name: json
    envoyFileAccessLog: {path: /dev/stdout, logFormat: {labels: {failed: "%PATH%", status: "%RESPONSE_CODE%"}}}
---
apiVersion: v1
kind: Service
metadata: {name: back, namespace: shop}
spec: {selector: {app: back}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: middle, namespace: shop}
spec: {selector: {app: middle}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop}
spec: {selector: {app: echo}, ports: [{name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: collector, namespace: tools}
spec: {selector: {app: collector}, ports: [{name: grpc-otlp, port: 4317}]}
---
# Each version when it is asked for.
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: back, namespace: shop}
spec: {host: back, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: back, namespace: shop}
spec:
  hosts: [back]
  http:
  - match: [{headers: {version: {exact: v2}}}]
    route: [{destination: {host: back, subset: v2}}]
  - route: [{destination: {host: back, subset: v1}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: back, namespace: shop}
spec:
  selector: {matchLabels: {app: back}}
  action: DENY
  rules: [{to: [{operation: {paths: [/secret]}}]}]
"""


def hop(name: str, version: str = "") -> Workload:
    return _workload(name, HOP, (8000,), version)


def stream(name: str) -> Workload:
    return _workload(name, STREAM, (9000, 8002))


def _workload(name: str, script: str, ports: tuple[int, ...], version: str = "") -> Workload:
    return Workload(
        name=f"{name}-{version}" if version else name,
        namespace="shop",
        service_account=name,
        labels={"app": name, **({"version": version} if version else {})},
        command=("python", "-c", script),
        ports=tuple(Port(number=port) for port in ports),
    )
