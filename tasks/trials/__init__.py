"""Trainings beside the workspace's own: a sweep's trials, and a version made again."""
