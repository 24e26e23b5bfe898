"""What a WSGI server and the `flask` command load."""

import sys

from portal import create_app
from portal.config import SettingsRefused
from portal.system import pass_gate

try:
    app = create_app()
except SettingsRefused as refused:
    sys.exit(str(refused))
pass_gate()
