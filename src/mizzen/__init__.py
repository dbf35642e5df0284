"""Mizzen: a service mesh in Python that programs stock Envoy with Istio's APIs."""

__version__ = "0.1.0"
