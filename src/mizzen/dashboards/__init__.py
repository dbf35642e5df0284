"""Grafana dashboards, generated: `model` says what a dashboard is, `pages` which there are and what they ask Prometheus."""
