"""Servers for labs: what an application must do so that a test can see what its proxy did."""

# Answers in JSON who it is, by which connection it was asked, how often this question came (?key=), and what came before
# HTTP. ?fail=NAME: 503 if that is its name; ?status=N; ?seconds=N: later.
# PORTS says what it listens to: "8000=http 8443=tls 9443=mtls 8500=proxy"; CERTIFICATES is a folder with what TLS needs.
SERVER = """
import collections, http.server, json, os, ssl, threading, time
from urllib.parse import parse_qs, urlparse

seen, lock = collections.Counter(), threading.Lock()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    preamble = ""

    def parse_request(self):
        if self.server.kind == "proxy" and not self.preamble:
            self.preamble = self.raw_requestline.decode("latin-1").strip()
            self.raw_requestline = self.rfile.readline(65537)
        return super().parse_request()

    def do_GET(self):
        asked = {key: values[0] for key, values in parse_qs(urlparse(self.path).query).items()}
        with lock:
            seen[asked.get("key", "")] += 1
            times = seen[asked.get("key", "")]
        time.sleep(float(asked.get("seconds", 0)))
        me = os.environ["MIZZEN_WORKLOAD"]
        status = 503 if me.startswith(asked.get("fail", "nobody")) else int(asked.get("status", 200))
        certificate = self.connection.getpeercert() if hasattr(self.connection, "getpeercert") else None
        body = json.dumps({
            "me": me, "connection": self.client_address[1], "caller": self.client_address[0], "times": times,
            "preamble": self.preamble, "host": self.headers["host"], "certificate": certificate,
            "sni": getattr(self.connection, "asked_for", None),
        }).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def __init__(self, port, kind):
        super().__init__((os.environ["HOST"], port), Handler)
        self.kind = kind
        if kind in ("tls", "mtls"):
            folder = os.environ["CERTIFICATES"]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
            def named(connection, name, _): connection.asked_for = name
            context.sni_callback = named
            if kind == "mtls":
                context.load_verify_locations(f"{folder}/ca.pem")
                context.verify_mode = ssl.CERT_REQUIRED
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

servers = [Server(int(port), kind) for port, kind in (item.split("=") for item in os.environ["PORTS"].split())]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
