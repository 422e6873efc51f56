"""What the operating system is asked for: processes that end together, locks, GPUs, ranks, and the terminal."""
