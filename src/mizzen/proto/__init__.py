"""Envoy's API as message classes, taken from the pinned Envoy itself.

The Envoy binary embeds the descriptors of its whole API, so the classes always agree with the proxy that will
read them. `descriptors` finds them, `api` names the messages that Mizzen uses, `build` writes what is made once
at set-up: the descriptors as a file and the type stubs.
"""
