"""The frozen nouns of the mesh: what derivation makes of configuration, and what translation reads."""
