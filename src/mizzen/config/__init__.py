"""Typed configuration: text in, frozen resources and diagnostics out. Pure: no I/O, no clock."""
