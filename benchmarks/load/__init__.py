"""What the benchmarks of the daemon are made of: meshes, a fleet of simulated proxies, the daemon as a process."""
