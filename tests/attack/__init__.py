"""What the tests of isolation attack with, and what they attack."""
