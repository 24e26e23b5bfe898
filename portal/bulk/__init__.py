"""Bulk acts: one act on many accounts, which says beforehand whom it changes, and can be undone for a while."""
