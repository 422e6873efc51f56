"""What Gantry costs, measured: `python -m benchmarks` runs the works of `benchmarks.works` and writes docs/performance.md."""
