"""The daemon: discovery, CA and configuration in one process. `wiring` builds it, `settings` says how."""
