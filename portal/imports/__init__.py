"""Import of people from a CSV file: looked through first, then all or nothing."""
