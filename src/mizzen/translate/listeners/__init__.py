"""Listeners: what a proxy accepts, from its application (outbound), for it (inbound), or from outside (gateway)."""
