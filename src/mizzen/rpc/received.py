"""What clients have sent and no handler has read: bounded for each call, each connection and the whole server.

A handler that waits for the rest of a message lets its client send on, so that a message may be longer than the window.
Without a sum over calls, a client would begin a long message on each of its calls, finish none, and have them all kept.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import Buffer


@dataclass(slots=True)
class Received:
    """How many bytes are kept for a connection (`whole`: for all of them)."""

    most_bytes: int
    whole: "Received | None" = None
    kept_bytes: int = 0

    def count(self, more_bytes: int) -> None:
        self.kept_bytes += more_bytes
        if self.whole is not None:
            self.whole.count(more_bytes)

    def check(self) -> None:
        """Before a client may send more of a message. Raises GRPCError."""
        if self.kept_bytes > self.most_bytes:
            words = f"{self.kept_bytes} bytes of unfinished messages on one connection: at most {self.most_bytes} are kept"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, words)
        if self.whole is not None and self.whole.kept_bytes > self.whole.most_bytes:
            words = "too many unfinished messages are being received at once: try again in some seconds"
            raise GRPCError(Status.UNAVAILABLE, words)


class BoundedBuffer(Buffer):
    """What was received of a call and not read yet. grpclib's keeps an object for each frame, however small, and would
    wait for any length that four bytes claim.
    """

    def __init__(self, ack: Callable[[int], None], message_bytes: int, received: Received) -> None:
        super().__init__(ack)
        self._message_bytes = message_bytes
        self._received = received
        self._data = bytearray()
        self._withheld_bytes = 0  # of the client's window; with padding, which is never in `_data`
        self._news = asyncio.Event()
        self._over = False

    def add(self, data: bytes, ack_size: int) -> None:
        self._withheld_bytes += ack_size
        if self._over:
            return
        self._data += data
        self._received.count(len(data))
        self._news.set()

    def eof(self) -> None:
        self._eof = True
        self._news.set()

    def forget(self) -> None:
        """The call is over: nobody will read what is left."""
        self._over = True
        self._take(len(self._data))

    async def read(self, size: int) -> bytes:
        """So many bytes; none at the end of the call."""
        if size > self._message_bytes:
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED,
                f"a message of {size} bytes: at most {self._message_bytes} are taken",
            )
        while len(self._data) < size and not self._eof:
            self._received.check()
            self._give_back(keep=0)
            self._news.clear()
            await self._news.wait()
        if 0 < len(self._data) < size:
            raise GRPCError(Status.INVALID_ARGUMENT, "the call ended in the middle of a message")
        taken = self._take(size)
        self._give_back(keep=len(self._data))
        return taken

    def unacked_size(self) -> int:
        """What the window is owed at the end of the call."""
        return self._withheld_bytes

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._received.count(-len(taken))
        return taken

    def _give_back(self, keep: int) -> None:
        returned = self._withheld_bytes - keep
        if returned > 0:
            self._withheld_bytes = keep
            self._ack_callback(returned)
