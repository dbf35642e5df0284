"""What the runner, the application and its clients tell each other. All of it JSON; on the control socket one line each."""

import msgspec

Headers = tuple[tuple[str, str], ...]
SERVER_FIRST = b"server-first-protocol\n"
MAX_LINE_BYTES = 32 << 20


class PortSettings(msgspec.Struct, frozen=True):
    """One port to listen on. `bind` is "any", "pod" (the workload's address alone) or "localhost"."""

    number: int
    bind: str = "any"
    tcp: bool = False  # bytes, not HTTP
    server_first: bool = False
    tls: bool = False
    client_certificates: bool = False  # asks for them, and insists
    proxy_protocol: bool = False


class Settings(msgspec.Struct, frozen=True):
    """`service` is "namespace/name", by which distributions are counted."""

    service: str
    version: str
    control: str  # path of the control socket
    ports: tuple[PortSettings, ...]
    certificate: str = ""  # paths of PEM files
    key: str = ""
    root: str = ""
    authorizes: str = ""  # address at which it is an external authorizer; "": it is none
    keys: str = ""  # a JSON Web Key Set that it serves; "": none


class Seen(msgspec.Struct, frozen=True):
    """What a server saw of one request: the body of every answer."""

    service: str
    workload: str  # the instance
    version: str
    port: int
    protocol: str  # HTTP/1.0, HTTP/1.1, HTTP/2.0 or TCP
    source: str
    host: str = ""
    method: str = ""
    path: str = ""  # with the query
    headers: Headers = ()
    message: str = ""
    alpn: str = ""
    sni: str = ""
    proxy_protocol: str = ""  # its version

    def header(self, name: str) -> str | None:
        """All values of a header, joined as HTTP joins them; None where there is none."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ",".join(values) if values else None


class Tls(msgspec.Struct, frozen=True):
    """PEM texts; without `ca` nothing is verified."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    sni: str = ""
    alpn: tuple[str, ...] = ()
    minimum: str = ""  # "1.3"


class DnsQuestion(msgspec.Struct, frozen=True):
    name: str
    transport: str = "udp"
    server: str = ""  # "": the resolver's


class Call(msgspec.Struct, frozen=True, tag="call", kw_only=True):
    """Send requests. Answered by Results, one for each of `count`."""

    scheme: str  # http, https, grpc, tcp, ws or dns
    address: str = ""
    port: int = 0
    host: str = ""  # "": address and port, as they stand in the URL
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = {}
    http2: bool = False
    count: int = 1
    timeout_seconds: float = 5.0
    message: str = ""
    server_first: bool = False
    tls: Tls = Tls()
    proxy_protocol: int = 0  # version; 0: none
    follow_redirects: bool = False
    cookies: tuple[
        str, ...
    ] = ()  # names that are sent back once they were set; then requests follow each other
    dns: DnsQuestion | None = None


class CountQuestion(msgspec.Struct, frozen=True, tag="count"):
    """How many requests had this text in their path or message? Answered by Count."""

    text: str


class Result(msgspec.Struct, frozen=True):
    """What came back of one request. `error` is empty where there was an answer of any kind."""

    error: str = ""
    status: int = 0
    headers: Headers = ()
    body: str = ""
    seen: Seen | None = None
    grpc_status: int | None = None
    addresses: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Results(msgspec.Struct, frozen=True, tag="results"):
    results: tuple[Result, ...]


class Count(msgspec.Struct, frozen=True, tag="counted"):
    count: int


Question = Call | CountQuestion
Answer = Results | Count
