"""What a terminal is shown. The standard library is enough for it."""

import re

# Control characters (all but the tab), line and paragraph separators, what turns the direction of
# writing, and the bytes of a file name that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    r"""A text as one line that a terminal only shows: a newline is \n, an escape character \x1b.

    File names, addresses and servers' answers may hold what a terminal obeys.
    """
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], text)
