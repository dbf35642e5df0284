"""As much of WebSocket (RFC 6455) as one text there and back needs."""

import asyncio
import base64
import hashlib
import os
import struct

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE = 0x81, 0x88


def new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def accept(key: str) -> str:
    """The server's proof that it speaks WebSocket."""
    return base64.b64encode(hashlib.sha1(f"{key}{_MAGIC}".encode()).digest()).decode()  # the RFC's choice


def frame(text: bytes, *, masked: bool) -> bytes:
    """Clients mask, servers do not."""
    size = len(text)
    flag = 0x80 if masked else 0
    length = bytes([flag | size]) if size < 126 else struct.pack(">BH", flag | 126, size)
    if not masked:
        return bytes([_TEXT]) + length + text
    mask = os.urandom(4)
    return bytes([_TEXT]) + length + mask + _masked(text, mask)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The text of the next frame. Raises ConnectionResetError where the peer closes."""
    kind, size = await reader.readexactly(2)
    if kind == _CLOSE:
        raise ConnectionResetError("EOF")
    length = size & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    mask = await reader.readexactly(4) if size & 0x80 else b""
    text = await reader.readexactly(length)
    return _masked(text, mask) if mask else text


def _masked(text: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
