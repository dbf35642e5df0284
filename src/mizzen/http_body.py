"""The body of an HTTP answer from somebody who is not trusted to end it."""

import aiohttp


class TooLongError(Exception):
    """The answer exceeds the limit."""


async def read_at_most(answer: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """Raises TooLongError as soon as there is more."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise TooLongError(f"the answer is longer than {limit_bytes} bytes")
    return bytes(body)
