"""Discovery: delta xDS over (name, version, bytes, warms). Nothing here knows what a mesh is."""
