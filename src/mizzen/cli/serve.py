"""`mizzen serve`: the daemon."""

from mizzen.cli.module import run_module

command = run_module("serve", "mizzen.daemon")
