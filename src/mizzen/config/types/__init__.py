"""Istio's and Kubernetes' API as frozen types: one file per API group, names as in the API."""
