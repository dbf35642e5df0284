"""The set `routing-e2e`: Istio's behavioural cases, run in the lab with real Envoys (see `run.run`)."""
