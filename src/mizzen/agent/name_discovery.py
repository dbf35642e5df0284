"""Follows the mesh's names: a subscription to the daemon's name table, by delta discovery as Envoy's own.

While the daemon is away the last names stay. After a reconnect only what changed meanwhile is sent.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from mizzen.agent.credentials import Credentials
from mizzen.agent.daemon import DaemonError, Daemons
from mizzen.agent.dns_names import NameTable
from mizzen.agent.tasks import first_of
from mizzen.model.name import IPV6_POOL, Name
from mizzen.processes import BackOff
from mizzen.proto import api
from mizzen.proto.api import DeltaDiscoveryRequest, DeltaDiscoveryResponse

if TYPE_CHECKING:
    from grpclib.client import Stream

_METHOD: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_NAME_TABLE: Final = f"type.googleapis.com/{api.NameTable.DESCRIPTOR.full_name}"
_USER_AGENT: Final = "mizzen-agent"  # tells the daemon that this is not the proxy itself
_RETRY: Final = BackOff(first_seconds=0.1, max_seconds=2.0)
_LASTED_SECONDS: Final = 10.0  # after so long the next failure is a new one
_INVALID_ARGUMENT: Final = 3

_log = logging.getLogger("mizzen.agent")


@dataclass(frozen=True, slots=True)
class _Piece:
    """The names of one service, in one version."""

    version: str
    names: dict[str, Name]


class NameDiscovery:
    """`table` is None until the daemon has answered for the first time.

    Without `captures_ipv6` what the mesh allocates of IPv6 is left out: it leads somewhere only through the proxy.
    """

    def __init__(
        self,
        daemons: Daemons,
        node_id: str,
        namespace: str,
        *,
        captures_ipv6: bool,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._daemons = daemons
        self._node_id = node_id
        self._namespace = namespace
        self._captures_ipv6 = captures_ipv6
        self._chance = chance
        self._credentials: Credentials | None = None
        self._renewed = asyncio.Event()
        self._pieces: dict[str, _Piece] = {}
        self.table: NameTable | None = None
        self.connected = False

    def use(self, credentials: Credentials) -> None:
        """The workload's certificate from now on: what is subscribed is subscribed anew with it."""
        self._credentials = credentials
        self._renewed.set()

    async def run(self) -> None:
        """Run until cancelled; failures are logged and tried again for ever."""
        await self._renewed.wait()
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            self._renewed.clear()
            began = loop.time()
            try:
                await first_of(self._follow(), self._renewed.wait())
            except DaemonError as error:
                failures = 1 if loop.time() - began > _LASTED_SECONDS else failures + 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _log.log(level, "the mesh's names are not followed: %s", error)
                await asyncio.sleep(_RETRY.delay_seconds(failures, self._chance()))
            finally:
                self.connected = False

    async def _follow(self) -> None:
        """Raises DaemonError, at the latest when the daemon ends the stream."""
        assert self._credentials is not None
        opened = self._daemons.stream(
            _METHOD, DeltaDiscoveryRequest, DeltaDiscoveryResponse, self._credentials
        )
        async with opened as stream:
            await stream.send_message(
                DeltaDiscoveryRequest(
                    node={"id": self._node_id, "user_agent_name": _USER_AGENT},
                    type_url=_NAME_TABLE,
                    resource_names_subscribe=["*"],
                    initial_resource_versions={name: piece.version for name, piece in self._pieces.items()},
                )
            )
            self.connected = True
            async for response in stream:
                await self._answer(stream, response)
            await stream.recv_trailing_metadata()  # raises what the daemon has to say
            raise DaemonError("the daemon ended the stream")

    async def _answer(
        self,
        stream: "Stream[DeltaDiscoveryRequest, DeltaDiscoveryResponse]",
        response: DeltaDiscoveryResponse,
    ) -> None:
        answer = DeltaDiscoveryRequest(type_url=_NAME_TABLE, response_nonce=response.nonce)
        try:
            self._take(response)
        except (DecodeError, ValueError) as error:
            answer.error_detail.code = _INVALID_ARGUMENT
            answer.error_detail.message = f"the names cannot be read: {error}"
        await stream.send_message(answer)

    def _take(self, response: DeltaDiscoveryResponse) -> None:
        """All of a response or nothing. Raises DecodeError or ValueError."""
        pieces = {
            found.name: _Piece(found.version, self._names(found.resource.value))
            for found in response.resources
        }
        self._pieces.update(pieces)
        for name in response.removed_resources:
            self._pieces.pop(name, None)
        names: dict[str, Name] = {}
        for piece in self._pieces.values():
            names.update(piece.names)
        self.table = NameTable(self._namespace, names)

    def _names(self, encoded: bytes) -> dict[str, Name]:
        table = api.NameTable.FromString(encoded)
        return {
            entry.key: Name(tuple(self._usable(entry.value.ips)), entry.value.external_name)
            for entry in table.table
        }

    def _usable(self, addresses: Iterable[str]) -> Iterator[str]:
        for address in map(ip_address, addresses):
            if self._captures_ipv6 or address not in IPV6_POOL:
                yield str(address)
