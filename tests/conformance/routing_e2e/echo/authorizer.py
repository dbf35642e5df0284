"""The services that policies lean on: an external authorizer over HTTP and gRPC, and a server of JSON Web Key Sets.

The authorizer behaves as Istio's sample: it allows requests that carry `x-ext-authz: allow`, and connections of the service
account "a"; it tells in headers what it was asked.
"""

from typing import Any

from aiohttp import web
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream

from mizzen.proto.api import message_class

HTTP_PORT, GRPC_PORT = 8000, 9000
_HEADER = "x-ext-authz"
_RESULT = "x-ext-authz-check-result"
_RECEIVED = "x-ext-authz-check-received"
_OVERRIDE = "x-ext-authz-additional-header-override"
_GRPC_OVERRIDE = "grpc-additional-header-override-value"
_DENIED = "denied by ext_authz for not found header `x-ext-authz: allow` in the request"
_METHOD = "/envoy.service.auth.v3.Authorization/Check"
_PERMISSION_DENIED = 7

CheckRequest = message_class("envoy.service.auth.v3.CheckRequest")
CheckResponse = message_class("envoy.service.auth.v3.CheckResponse")


async def serve_authorizer(address: str) -> None:
    """Until the process ends."""
    await _serve_http(address, _check_http)
    await Server([_Grpc()]).start(address, GRPC_PORT)


async def serve_keys(address: str, keys: str) -> None:
    """A key set at /jwks, until the process ends."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=keys, content_type="application/json")

    await _serve_http(address, answer)


async def _serve_http(address: str, handler: Any) -> None:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, HTTP_PORT).start()


async def _check_http(request: web.Request) -> web.Response:
    allowed = request.headers.get(_HEADER) == "allow"
    headers = {
        _RESULT: "allowed" if allowed else "denied",
        _RECEIVED: f"{request.method} {request.host}{request.path_qs} {dict(request.headers)}",
        _OVERRIDE: request.headers.get(_OVERRIDE, ""),
    }
    return web.Response(status=200 if allowed else 403, headers=headers, text="" if allowed else _DENIED)


class _Grpc:
    def __mapping__(self) -> dict[str, Handler]:
        return {_METHOD: Handler(self._check, Cardinality.UNARY_UNARY, CheckRequest, CheckResponse)}

    async def _check(self, stream: "Stream[Any, Any]") -> None:
        request = await stream.recv_message()
        assert request is not None
        attributes = request.attributes
        if attributes.request.HasField("http"):
            allowed = attributes.request.http.headers.get(_HEADER) == "allow"
        else:
            allowed = attributes.source.principal.endswith("/sa/a")
        received = " ".join(str(attributes).split())
        told = {_RESULT: "allowed" if allowed else "denied", _RECEIVED: received, _OVERRIDE: _GRPC_OVERRIDE}
        headers = [{"header": {"key": key, "value": value}} for key, value in told.items()]
        answer: dict[str, Any] = {"ok_response": {"headers": headers}}
        if not allowed:
            denied = {"status": {"code": 403}, "body": _DENIED, "headers": headers}
            answer = {"status": {"code": _PERMISSION_DENIED}, "denied_response": denied}
        await stream.send_message(CheckResponse(**answer))
