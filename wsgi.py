"""What a WSGI server and the `flask` command load."""

import gc
import sys

from portal import create_app
from portal.config import SettingsRefused
from portal.system import pass_gate

try:
    app = create_app()
except SettingsRefused as refused:
    sys.exit(str(refused))
# What is loaded by now stays: the collector of the workers, which are copies of this process, need not walk through it again and again.
gc.collect()
gc.freeze()
pass_gate()
