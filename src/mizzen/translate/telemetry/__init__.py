"""What proxies tell of their traffic: Istio's metrics, access logs, traces. No filter of our own: Envoy's access loggers do it.

`metrics` makes the loggers that count, `access_logs` those that write and send lines, `tracing` the settings of spans; `reporting` puts them together for one side of a workload's traffic.
"""
