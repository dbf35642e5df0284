"""Two network namespaces joined by a cable, to see where captured traffic goes: run as a process of its own.

`python -m tests.support.capture_scene uid|mark` makes namespaces (with `mark` in a user namespace of one user, as
without root), puts the capture rules in force in the inner one, and prints as JSON which server answered each call.
Exit status 77: the kernel allows no namespaces here; the reason is on stderr.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from mizzen.agent.capture import AGENT_MARK
from mizzen.processes import Command, ToLines, run, start

OUTER, INNER = "10.77.0.1", "10.77.0.2"
ENVOY_UID, ENVOY_MARK = 1337, 99
CANNOT = 77
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000


def unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter_own_namespaces(mode: str) -> None:
    uid, gid = os.getuid(), os.getgid()
    try:
        if mode == "uid":
            unshare(_CLONE_NEWNET)
            return
        unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path("/proc/self", file).write_text(text)
    except OSError as error:
        sys.stderr.write(f"the kernel allows no namespaces here: {error.strerror}\n")
        raise SystemExit(CANNOT) from None


def scene(*arguments: str, **options) -> Command:
    argv = (sys.executable, "-m", "tests.support.capture_scene", *arguments)
    return Command(name="scene", argv=argv, **options)


async def inner_namespace():
    """A process that only holds the inner namespace open, and the descriptor of the namespace."""
    ready: list[str] = []
    holder = start(scene("hold", in_child=(lambda: unshare(_CLONE_NEWNET),), stdout=ToLines(ready.append)))
    while not ready:
        await asyncio.sleep(0.01)
    return holder, os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY)


def join(netns_fd: int) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as links:
        links.link("add", ifname="outer", kind="veth", peer={"ifname": "inner", "net_ns_fd": netns_fd})
    configure("outer", OUTER)


def configure(interface: str, address: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as links:
        links.link("set", index=links.link_lookup(ifname="lo")[0], state="up")
        index = links.link_lookup(ifname=interface)[0]
        links.addr("add", index=index, address=address, prefixlen=24)
        links.link("set", index=index, state="up")
        if interface == "inner":
            links.route("add", dst="default", gateway=OUTER)


async def greet(name: str, host: str, port: int) -> None:
    """A server that says its name to whoever calls."""

    async def served(_reader, writer) -> None:
        writer.write(name.encode())
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    await asyncio.start_server(served, host, port)


class Answer(asyncio.DatagramProtocol):
    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        self.transport.sendto(b"dns", addr)


async def serve_inner() -> None:
    servers = (("outbound", 15001), ("inbound", 15006), ("app", 8080), ("status", 15020), ("dns", 15053))
    for name, port in servers:
        await greet(name, "0.0.0.0", port)
    await asyncio.get_running_loop().create_datagram_endpoint(Answer, ("127.0.0.1", 15053))
    print("up", flush=True)
    await asyncio.Event().wait()


def call(kind: str, source: str, mark: str, uid: str, host: str, port: str) -> str:
    os.setuid(int(uid))  # here, as this user may be unable to reach the interpreter
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as caller:
        caller.settimeout(5)
        if int(mark):
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(mark))
        if source != "any":
            caller.bind((source, 0))
        try:
            caller.connect((host, int(port)))
            if kind == "udp":
                caller.send(b"?")
            return caller.recv(100).decode()
        except OSError as error:
            return type(error).__name__


async def called(
    netns_fd: int | None, kind: str, host: str, port: int, *, source="any", mark=0, uid=0
) -> str:
    command = scene("call", kind, source, str(mark), str(uid), host, str(port), netns_fd=netns_fd)
    finished = await run(command)
    assert finished.exit.ok, finished.stderr
    return finished.stdout.decode().strip()


async def play(mode: str) -> None:
    holder, inner = await inner_namespace()
    await asyncio.to_thread(join, inner)  # pyroute2 runs a loop of its own
    assert (await run(scene("configure", netns_fd=inner))).exit.ok
    up: list[str] = []
    servers = start(scene("serve", netns_fd=inner, stdout=ToLines(up.append)))
    await greet("outer", OUTER, 80)
    envoy = {"mark": ENVOY_MARK} if mode == "mark" else {"uid": ENVOY_UID}
    flags = ("--mark", str(ENVOY_MARK)) if mode == "mark" else ()
    argv = (sys.executable, "-m", "mizzen.agent.capture", *flags)
    for _ in range(2):  # the second time replaces the first
        captured = await run(Command(name="capture", argv=argv, netns_fd=inner))
        assert captured.exit.ok, captured.stderr
    while not up:
        await asyncio.sleep(0.01)
    answers = {
        "the application calls out": await called(inner, "tcp", OUTER, 80),
        "Envoy calls out": await called(inner, "tcp", OUTER, 80, **envoy),
        "the agent calls out": await called(inner, "tcp", OUTER, 80, mark=AGENT_MARK),
        "the application asks any DNS server": await called(inner, "udp", OUTER, 53),
        "the application asks by TCP": await called(inner, "tcp", OUTER, 53),
        "the application asks on loopback": await called(inner, "udp", "127.0.0.53", 53),
        "somebody calls in": await called(None, "tcp", INNER, 8080),
        "somebody calls the agent": await called(None, "tcp", INNER, 15020),
        "the application calls itself": await called(inner, "tcp", INNER, 8080),
        "the application calls localhost": await called(inner, "tcp", "127.0.0.1", 8080),
        "Envoy calls its own workload's address": await called(inner, "tcp", INNER, 8080, **envoy),
        "Envoy passes a request to the application": await called(
            inner, "tcp", INNER, 8080, source="127.0.0.6", **envoy
        ),
    }
    print(json.dumps(answers))
    await servers.stop()
    await holder.stop()


async def play_agent(mode: str, folder: Path) -> None:
    """A whole agent with its Envoy in the inner namespace, its daemon in the outer."""
    from tests.support.agent_mesh import Daemon, answer_by_itself, running_agent, until

    holder, inner = await inner_namespace()
    await asyncio.to_thread(join, inner)
    assert (await run(scene("configure", netns_fd=inner))).exit.ok
    daemon = Daemon(folder, host=OUTER)
    await daemon.start()
    answer_by_itself(daemon, "0.0.0.0", 15006)
    options = ("--mark", str(ENVOY_MARK)) if mode == "mark" else ()
    async with running_agent(daemon, INNER, "--interception", "redirect", *options, netns_fd=inner) as agent:
        await until(agent.is_ready, "readiness")
        status = await agent.status()
        _, body = await agent.http("/hello", port=8080)
        await until(lambda: any("GET /hello" in line for line in agent.log), "the access log's line")
        socket_owner = (agent.state_dir / "sds.sock").stat().st_uid
        envoy_uid = Path(f"/proc/{status['envoy']['pid']}").stat().st_uid
    await daemon.close()
    await holder.stop()
    print(json.dumps({"envoy": envoy_uid, "socket": socket_owner, "body": body.decode()}))


def main() -> None:
    match sys.argv[1:]:
        case ["hold"]:
            print("up", flush=True)
            sys.stdout.close()
            while True:
                signal.pause()
        case ["configure"]:
            configure("inner", INNER)
        case ["serve"]:
            asyncio.run(serve_inner())
        case ["call", *arguments]:
            print(call(*arguments))
        case ["agent", mode, folder]:
            enter_own_namespaces(mode)
            asyncio.run(play_agent(mode, Path(folder)))
        case [mode]:
            enter_own_namespaces(mode)
            asyncio.run(play(mode))


if __name__ == "__main__":
    main()
