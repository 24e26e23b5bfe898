"""The first page after signing in: what is true about the organization now, each figure with its source."""
