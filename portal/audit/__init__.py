"""Who did what: every change, written in the transaction that makes it, chained so that tampering shows."""
