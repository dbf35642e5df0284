"""A steady caller: `python -m mizzen.lab.traffic`, told by a JSON object as its argument.

It sends one request after the other, so a slow mesh gets fewer requests, never a growing number at once.
"""

import os
import sys
import time
from collections.abc import Callable

import msgspec

from mizzen.lab.protocol import CallRequest
from mizzen.lab.request import exchange

_AFTER_FAILURE_SECONDS = 1.0


class Caller(msgspec.Struct, frozen=True):
    """`connect` is where to connect to, whatever the URL says: the gateway's address."""

    call: CallRequest
    rps: float
    connect: tuple[str, int] | None = None


def send_steadily(
    caller: Caller, proxy: str, sleep: Callable[[float], None], monotonic: Callable[[], float]
) -> None:
    interval_seconds = 1 / caller.rps
    due = monotonic()
    while True:
        answer = exchange(caller.call, proxy, caller.connect)
        if not answer.status:
            sleep(_AFTER_FAILURE_SECONDS)
        # Never catch up: after a pause the rate is the same, not higher.
        due = max(due + interval_seconds, monotonic())
        sleep(max(0.0, due - monotonic()))


def main() -> None:
    caller = msgspec.json.decode(sys.argv[1].encode(), type=Caller)
    send_steadily(caller, os.environ.get("http_proxy", ""), time.sleep, time.monotonic)


if __name__ == "__main__":
    main()
