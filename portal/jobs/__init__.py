"""Jobs: work that is too long for a request, asked for in one and done by the worker."""
