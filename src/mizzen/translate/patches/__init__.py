"""What is changed last, in resources that are made: by the settings of the proxy, then by EnvoyFilters.

`resources.py` is the road: `patched` takes a resource apart and encodes it again. `values.py` knows how values are read,
merged and put into lists; `listeners.py`, `routes.py` and `clusters.py` know what a match means for each type.
"""
