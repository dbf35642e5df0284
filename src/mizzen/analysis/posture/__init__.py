"""How secure the mesh is as configured: checks of the whole mesh, one file each, asked for by `mizzen analyze --posture`."""
