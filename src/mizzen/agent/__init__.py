"""The agent: beside each workload it gets the certificate, feeds and keeps Envoy, captures traffic, answers DNS."""
