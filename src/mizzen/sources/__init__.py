"""The doors in: where configuration comes from. Each source yields Changes."""
