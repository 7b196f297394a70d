"""Benchmarks of MDUS against what the same machine can do, as ratios of one run: `python -m tests.benchmarks`."""
