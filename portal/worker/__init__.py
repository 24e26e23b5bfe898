"""The process beside the web: duties that come round, each in its own time."""
