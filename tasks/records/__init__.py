"""MLflow: the run that the stages share, the registry of versions, where each came from, and how one is served."""
