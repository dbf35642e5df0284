"""One HTTP filter a file: what Envoy needs in the chain, and what a route says to it."""
