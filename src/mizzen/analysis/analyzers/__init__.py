"""One analyzer a file. `mizzen.analysis.registry` lists them."""
