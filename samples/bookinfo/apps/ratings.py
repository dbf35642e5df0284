"""ratings: how many stars each reviewer gives; and two doors for trying out timeouts and retries.

/slow?seconds=3        answers after that time (at most a minute)
/flaky?fail=2&key=abc  fails the first two requests of that key with 503
"""

import threading
import time
from collections import OrderedDict

from service import Answer, Request, json_answer, serve

_MAX_KEYS = 1000  # the oldest is forgotten
_MAX_SECONDS = 60.0


class Flaky:
    """Counts the requests of each key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, int] = OrderedDict()

    def __call__(self, request: Request) -> Answer:
        key, failures = request.query.get("key", ""), int(request.query.get("fail", "1"))
        with self._lock:
            attempt = self._seen[key] = self._seen.get(key, 0) + 1
            if len(self._seen) > _MAX_KEYS:
                self._seen.popitem(last=False)
        return json_answer({"key": key, "attempt": attempt}, 503 if attempt <= failures else 200)


def ratings(_request: Request) -> Answer:
    return json_answer({"id": 0, "ratings": {"Ada": 5, "Grace": 4}})


def slow(request: Request) -> Answer:
    seconds = min(float(request.query.get("seconds", "1")), _MAX_SECONDS)
    time.sleep(seconds)
    return json_answer({"slept_seconds": seconds})


if __name__ == "__main__":
    serve({"/ratings/": ratings, "/slow": slow, "/flaky": Flaky()})
