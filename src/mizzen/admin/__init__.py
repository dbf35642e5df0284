"""The daemon's JSON API: the only thing that the CLI and the console read live."""
