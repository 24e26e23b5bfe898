"""Organizations: registering one, and what it says about itself."""
