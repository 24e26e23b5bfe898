"""Whether the process lives and whether it can do its work, for machines that ask."""
