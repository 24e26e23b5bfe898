"""Links that prove a mailbox, or that somebody who may has handed them over: each works once, for a while."""
