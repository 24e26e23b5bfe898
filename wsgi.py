"""What a WSGI server and the `flask` command load."""

import gc
import sys

from portal import create_app
from portal.config import SettingsRefused
from portal.system import pass_gate

# What is loaded stays: the collector need not walk through it, neither now, which took a quarter of the time to load, nor in the workers,
# which are copies of this process.
gc.disable()
try:
    app = create_app()
except SettingsRefused as refused:
    sys.exit(str(refused))
gc.freeze()
gc.enable()
pass_gate()
