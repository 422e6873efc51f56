"""The same work in other programs. They run in an environment of their own (requirements.txt, made by `benchmarks.environment`)."""
