"""Listeners of gateways: for callers outside the mesh, and for what leaves it.

`tls` says how a server ends TLS; `chains` makes the filter chains of a port's servers; `listener` builds the listeners from
them, for TCP and for QUIC; `auto_passthrough` the chains of servers that pass mutual TLS of the mesh on.
"""
