"""`mizzen agent`: the agent of one workload."""

from mizzen.cli.module import run_module

command = run_module("agent", "mizzen.agent")
