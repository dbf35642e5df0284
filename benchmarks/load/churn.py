"""Endpoint changes without end: whether the daemon keeps up, and what it holds meanwhile."""

import time
from itertools import count
from typing import Any

from benchmarks.load.scene import Scene
from mizzen.xds.resource import ENDPOINT

_STEPS_PER_SECOND = 10


def churn(of: Scene, per_second: int, seconds: float) -> dict[str, Any]:
    """Rewrite so many endpoints a second. A queue that grows shows as changes that wait longer and longer, and as memory.

    How long a change waits is asked of the daemon all the time: its changes that are not taken in yet, its proxies that
    have not ACKed yet. How long it takes to be still afterwards says the rest.
    """
    of.fleet.order("mark")
    cpu, fleet_cpu, began = of.daemon.cpu_seconds(), of.fleet.cpu_seconds(), time.monotonic()
    written = 0
    samples: list[dict[str, float]] = []
    numbers = count(1)
    step = per_second // _STEPS_PER_SECOND
    while (now := time.monotonic()) < began + seconds:
        due = int((now - began) * per_second)
        while written < due:
            of.mesh.churn(step, next(numbers))
            written += step
        if not samples or now - began >= samples[-1]["second"] + 1:
            samples.append(_sample(of, now - began))
        time.sleep(0.02)
    took = time.monotonic() - began
    still = _until_still(of)
    status = of.fleet.order("status")
    found = {
        "per_second": written / took,
        "seconds": took,
        "still_after_seconds": still,
        "cpu_share": (of.daemon.cpu_seconds() - cpu) / took,
        "fleet_cpu_share": (of.fleet.cpu_seconds() - fleet_cpu) / took,
        "responses": status["responses"],
        "bytes": status["bytes"],
        "samples": samples,
    }
    _show(found)
    return found


def _sample(of: Scene, second: float) -> dict[str, float]:
    metrics = of.daemon.metrics()
    return {
        "second": second,
        "memory_mb": of.daemon.memory_mb(),
        "waiting_changes": metrics["mizzen_waiting_changes"],
        "oldest_wait_seconds": metrics["mizzen_oldest_change_seconds"],
        "responses": of.fleet.order("status")["responses"],
    }


def _until_still(of: Scene) -> float:
    """Until no proxy takes anything more for a second; how long that took."""
    ended = time.monotonic()
    last = -1
    while True:
        responses = of.fleet.order("status")["responses"]
        if responses == last:
            last_ack: float = of.fleet.order("taken", type_url=ENDPOINT)["last"]
            return max(0.0, last_ack - ended)
        last = responses
        time.sleep(1.0)


def _show(found: dict[str, Any]) -> None:
    samples = found["samples"]
    waits = [sample["waiting_changes"] for sample in samples]
    print(
        f"\n{found['per_second']:,.0f} endpoint changes a second for {found['seconds']:.0f} s: the daemon "
        f"{found['cpu_share']:.0%} of a core, the fleet {found['fleet_cpu_share']:.0%}; changes that waited at most "
        f"{max(waits):,.0f} (first half {max(waits[: len(waits) // 2] or [0]):,.0f}, second "
        f"{max(waits[len(waits) // 2 :]):,.0f}), the oldest for {max(s['oldest_wait_seconds'] for s in samples):.2f} s; still "
        f"{found['still_after_seconds']:.2f} s after the last; memory {samples[0]['memory_mb']:,.0f} to "
        f"{samples[-1]['memory_mb']:,.0f} MB; {found['responses']:,} responses",
        flush=True,
    )
