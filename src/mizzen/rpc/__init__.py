"""gRPC for the daemon and the agent: grpclib behind a thin seam that bounds what a client can cost."""
