"""Queries from the model to Envoy resources. Names of clusters, listeners, routes and stats follow Istio's."""
