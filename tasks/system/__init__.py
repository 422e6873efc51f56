"""What the operating system is asked for: processes that end together, locks, memory, GPUs, ranks, the terminal."""
