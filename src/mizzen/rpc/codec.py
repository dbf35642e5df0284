"""How messages become bytes: those that already are bytes go out as they are."""

from typing import Any

from google.protobuf.message import DecodeError
from grpclib.const import Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError


class RawCodec(ProtoCodec):
    """Protobuf, but a handler may send `bytes` that it encoded before (and shares among many clients)."""

    def encode(self, message: Any, message_type: Any) -> bytes:
        return message if isinstance(message, bytes) else super().encode(message, message_type)

    def decode(self, data: bytes, message_type: Any) -> Any:
        try:
            return super().decode(data, message_type)
        except DecodeError:
            name = message_type.DESCRIPTOR.full_name
            raise GRPCError(Status.INVALID_ARGUMENT, f"the message is no valid {name}") from None
