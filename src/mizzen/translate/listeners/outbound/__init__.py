"""Outbound listeners: what the application sends, handed on by where it meant to go.

`claims` says which address and port each port of a service asks for; `plan` merges the claims of all services that a
proxy sees into keys, one per listener; `listener` builds a listener from its key, with the chains of `streams`. What no
listener takes falls to `captured`.
"""
