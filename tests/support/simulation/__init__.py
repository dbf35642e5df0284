"""Envoy in process: a connection and a configuration in, what Envoy would do with it out.

It reads the same bytes that a proxy gets, and decides in Envoy's own order: `listeners` (which listener takes the
connection, what its filters learn), `filter_chains` (which chain), `routes` (virtual host and route), `simulate` (all
of it). Limits and policies are not asked: RBAC, rate limits and health play no part.
"""
