"""Reading configuration: decode and validate 10,000 VirtualServices, against PyYAML's C loader on the same text.

Prints ratios: below 1 means that typed, validated resources with places cost less than the loader's bare dicts.
"""

import gc
import statistics
import time

import yaml

from mizzen.config.decode import decode

COUNT = 10_000
ROUNDS = 3

TEMPLATE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews-{number}
  namespace: shop-{namespace}
  labels: {{team: web, tier: "2"}}
spec:
  hosts:
  - reviews-{number}.shop.svc.cluster.local
  http:
  - name: canary
    match:
    - headers:
        end-user:
          exact: jason
      uri:
        prefix: /api/v1
    - queryParams:
        debug: {{exact: "true"}}
    route:
    - destination:
        host: reviews
        subset: v2
      weight: 100
    timeout: 10s
    retries:
      attempts: 3
      perTryTimeout: 2s
      retryOn: 5xx,reset
  - fault:
      delay:
        percentage: {{value: 0.1}}
        fixedDelay: 5s
    route:
    - destination: {{host: reviews, subset: v1}}
      weight: 80
    - destination: {{host: reviews, subset: v3}}
      weight: 20
      headers:
        response:
          set: {{x-canary: "yes"}}
"""


def seconds(function) -> float:
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    text = "---\n".join(TEMPLATE.format(number=number, namespace=number % 50) for number in range(COUNT))
    decoded = decode(text, "bench.yaml")
    assert len(decoded.located) == COUNT
    assert decoded.diagnostics == ()
    pairs = [
        (
            seconds(lambda: decode(text, "bench.yaml")),
            seconds(lambda: list(yaml.load_all(text, yaml.CSafeLoader))),  # the loader is a safe one
        )
        for _ in range(ROUNDS)
    ]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    place = seconds(lambda: decoded.located[-1].locate(("spec", "http", 1, "fault")))
    print(
        f"decode + validate {COUNT:,} VirtualServices ({len(text) / 1e6:.1f} MB): {ratio:.2f} x yaml.CSafeLoader"
    )
    print(f"one field's place, looked up: {place / min(ours for ours, _ in pairs):.5f} x the decoding")


if __name__ == "__main__":
    main()
