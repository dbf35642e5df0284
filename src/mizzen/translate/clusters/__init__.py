"""Clusters: where a proxy can send, one concern of them a module."""
