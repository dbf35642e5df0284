"""Two network namespaces joined by a cable, to see where captured traffic goes: run as a process of its own.

`python -m tests.support.capture_scene uid|mark ACTS` makes namespaces (with `mark` in a user namespace of one user, as
without root), puts capture rules in force in the inner one, makes the calls of each act, and prints as JSON which server answered. Exit status 77: the kernel allows no namespaces here; the reason is on stderr.
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
from typing import Any

from mizzen.processes import Command, ToLines, run, start

OUTER, INNER = "10.77.0.1", "10.77.0.2"
OUTER6, INNER6 = "fd77::1", "fd77::2"
OUTER2, INNER2 = "10.78.0.1", "10.78.0.2"
ENVOY_UID, ENVOY_MARK = 1337, 99
CANNOT = 77
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
_IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 75
_WITHOUT_TEST = 2  # no duplicate address detection


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
        for outer, inner in (("outer", "inner"), ("outer2", "inner2")):
            links.link("add", ifname=outer, kind="veth", peer={"ifname": inner, "net_ns_fd": netns_fd})
    configure("outer", OUTER, OUTER6)
    configure("outer2", OUTER2)


def configure(interface: str, *addresses: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as links:
        links.link("set", index=links.link_lookup(ifname="lo")[0], state="up")
        index = links.link_lookup(ifname=interface)[0]
        for address in addresses:
            length, flags = (64, {"flags": _WITHOUT_TEST}) if ":" in address else (24, {})
            links.addr("add", index=index, address=address, prefixlen=length, **flags)
        links.link("set", index=index, state="up")
        if interface == "inner":
            links.route("add", dst="default", gateway=OUTER)
            links.route("add", family=socket.AF_INET6, dst="default", gateway=OUTER6)


async def greet(name: str, port: int) -> None:
    """A server that says its name, and as whom it sees the caller, by IPv4 and IPv6. Its sockets are transparent."""

    async def served(_reader, writer) -> None:
        writer.write(f"{name} {writer.get_extra_info('peername')[0]}".encode())
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            listening.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        listening.bind((host, port))
        await asyncio.start_server(served, sock=listening)


class Answer(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self.name = name

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        self.transport.sendto(f"{self.name} {addr[0]}".encode(), addr)


async def answer(name: str, host: str, port: int) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: Answer(name), (host, port))


async def serve_inner() -> None:
    servers = (("outbound", 15001), ("inbound", 15006), ("app", 8080), ("app2", 8081), ("status", 15020))
    for name, port in (*servers, ("dns", 15053)):
        await greet(name, port)
    for host in ("127.0.0.1", "::1"):
        await answer("dns", host, 15053)
    print("up", flush=True)
    await asyncio.Event().wait()


def call(to: list, **options: Any) -> str:
    """Who answers: `to` is [tcp|udp, address, port]. The socket belongs to user `uid` and group `gid`."""
    kind, host, port = to
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    os.setegid(options.get("gid", 0))
    os.seteuid(options.get("uid", 0))
    caller = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    os.seteuid(0)
    os.setegid(0)
    with caller:
        caller.settimeout(options.get("seconds", 5))
        if "mark" in options:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, options["mark"])
        if "source" in options:
            transparent = (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT) if ":" in host else (0, _IP_TRANSPARENT)
            caller.setsockopt(*transparent, 1)
            caller.bind((options["source"], 0))
        try:
            caller.connect((host, port))
            if kind == "udp":
                caller.send(b"?")
            name, seen_as = caller.recv(100).decode().split()
        except (OSError, ValueError) as error:
            return type(error).__name__
    return f"{name} by {seen_as}" if options.get("who") else name


async def called(netns_fd: int | None, calls: dict[str, Any]) -> dict[str, str]:
    finished = await run(scene("call", netns_fd=netns_fd), json.dumps(calls).encode())
    assert finished.exit.ok, finished.stderr
    return json.loads(finished.stdout)


async def play(acts: list[dict[str, Any]]) -> None:
    """Each act replaces the rules. `capture`: their options, `inner` and `outer`: the calls from each namespace, by what
    they show.
    """
    holder, inner = await inner_namespace()
    await asyncio.to_thread(join, inner)  # pyroute2 runs a loop of its own
    assert (await run(scene("configure", netns_fd=inner))).exit.ok
    up: list[str] = []
    servers = start(scene("serve", netns_fd=inner, stdout=ToLines(up.append)))
    for port in (53, 80, 81):
        await greet("outer", port)
    await answer("outer", OUTER, 53)
    while not up:
        await asyncio.sleep(0.01)
    answers = []
    for act in acts:
        argv = (sys.executable, "-m", "mizzen.agent.capture", *act["capture"])
        captured = await run(Command(name="capture", argv=argv, netns_fd=inner))
        assert captured.exit.ok, captured.stderr
        answers.append(await called(inner, act["inner"]) | await called(None, act["outer"]))
    print(json.dumps(answers))
    await servers.stop()
    await holder.stop()


async def play_agent(mode: str, interception: str, folder: Path) -> None:
    """A whole agent with its Envoy in the inner namespace, its daemon in the outer."""
    from tests.support.agent_mesh import Daemon, answer_by_itself, running_agent, until

    holder, inner = await inner_namespace()
    await asyncio.to_thread(join, inner)
    assert (await run(scene("configure", netns_fd=inner))).exit.ok
    daemon = Daemon(folder, host=OUTER)
    await daemon.start()
    answer_by_itself(daemon, "0.0.0.0", 15006, "::", transparent=interception == "tproxy")
    options = ("--mark", str(ENVOY_MARK)) if mode == "mark" else ()
    async with running_agent(
        daemon, INNER, "--interception", interception, *options, netns_fd=inner
    ) as agent:
        await until(agent.is_ready, "readiness")
        status = await agent.status()
        bodies = [(await agent.http("/hello", 8080, to))[1].decode() for to in (INNER, INNER6)]
        await until(lambda: any("GET /hello" in line for line in agent.log), "the access log's line")
        socket_owner = (agent.state_dir / "sds.sock").stat().st_uid
        envoy_uid = Path(f"/proc/{status['envoy']['pid']}").stat().st_uid
    await daemon.close()
    await holder.stop()
    print(json.dumps({"envoy": envoy_uid, "socket": socket_owner, "bodies": bodies}))


def main() -> None:
    match sys.argv[1:]:
        case ["hold"]:
            print("up", flush=True)
            sys.stdout.close()
            while True:
                signal.pause()
        case ["configure"]:
            configure("inner", INNER, INNER6)
            configure("inner2", INNER2)
        case ["serve"]:
            asyncio.run(serve_inner())
        case ["call"]:
            print(json.dumps({name: call(**asked) for name, asked in json.load(sys.stdin).items()}))
        case ["agent", mode, interception, folder]:
            enter_own_namespaces(mode)
            asyncio.run(play_agent(mode, interception, Path(folder)))
        case [mode, described]:
            enter_own_namespaces(mode)
            asyncio.run(play(json.loads(described)))


if __name__ == "__main__":
    main()
