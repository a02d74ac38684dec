"""Which release of the adapter is played, and what that one has."""

import os

RELEASES = ("r1.3", "r1.5.1", "r1.9", "r1.13", "r1.15")
NAME = os.environ.get("FAKE_NPU_RELEASE", "r1.15")
assert NAME in RELEASES, NAME


def since(minor):
    """Whether the release is r1.`minor` or a later one."""
    return int(NAME.split(".")[1]) >= minor


# Overflowed values become infinite instead of setting a flag.
INF_NAN_MODE = since(13)
