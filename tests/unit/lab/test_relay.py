"""The ingress relay: bytes in both directions, each ending by itself."""

import asyncio
import socket

from mizzen.lab.relay import Relay


async def echo_until_end(reader, writer):
    writer.write(b"got " + await reader.read())
    await writer.drain()
    writer.close()


async def relayed(server_handler):
    server = await asyncio.start_server(server_handler, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    relay = asyncio.create_task(Relay(listener, *server.sockets[0].getsockname()).run())
    return server, listener, relay


async def finish(server, listener, relay):
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    listener.close()
    server.close()


async def test_a_client_that_has_said_all_still_gets_its_answer():
    server, listener, relay = await relayed(echo_until_end)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"x" * 200_000)
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b"got " + b"x" * 200_000
    writer.close()
    await finish(server, listener, relay)


async def test_a_gateway_that_is_not_there_ends_the_connection():
    server, listener, relay = await relayed(echo_until_end)
    server.close()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await finish(server, listener, relay)
