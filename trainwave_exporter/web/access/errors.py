"""The one error of the web configuration file."""

from __future__ import annotations


class AccessError(Exception):
    """The web configuration file, or one that it names, cannot be used.

    The text is one line that says where and why; no key, password or hash stands in it.
    """
