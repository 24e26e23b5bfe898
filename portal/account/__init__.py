"""A person's own account: who she is, how she reads the portal, where she is signed in, and her password."""
