"""Where the project and its tests are."""

import os

HELPERS = os.path.dirname(os.path.abspath(__file__))
UNIT = os.path.dirname(HELPERS)
ROOT = os.path.dirname(os.path.dirname(UNIT))
