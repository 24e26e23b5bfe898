"""What people do who have forgotten their password, or which organizations they are in."""
