"""A whole mesh on one Linux machine: `mizzen up`.

The launcher (the user's command) opens the host's sockets and starts the keeper. The keeper stays on the host, enters the
namespaces with its child and clears up after it. That child, `init`, is process 1 of the lab: when it dies, the kernel removes
everything. It reaps, and runs the supervisor, which makes the network and runs the daemon, the agents and the applications.
"""
