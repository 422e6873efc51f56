"""When and in what order: the flows, the schedule and the command line."""
