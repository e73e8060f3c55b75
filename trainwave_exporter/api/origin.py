"""The origin of the API: no request, and so no key, is sent to another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import httpx

from trainwave_exporter.api.errors import RedirectRefused


def base_of(base_url: str) -> str:
    """Return a base URL without slashes at its end.

    Raises `ValueError` for anything but an http or https URL of a host and perhaps a path, without
    user and password.
    """
    base = base_url.strip().rstrip("/")
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("not an http or https URL")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("a URL with a user, a query or a fragment")
    return base


def redirect_target(url: str, location: str, tidy: Callable[[str], str]) -> str:
    """Return where ``location``, in the answer to ``url``, leads within the same origin.

    Raises `RedirectRefused` if it leads to another origin, or is no URL.
    """
    here = httpx.URL(url)
    target = None
    with suppress(httpx.InvalidURL, ValueError):
        target = here.join(location)
    if target is None:
        raise RedirectRefused("redirected to what is no URL")
    if _origin(target) != _origin(here) or target.userinfo:
        raise RedirectRefused(f"redirected to another origin: {tidy(_spelled(target))}")
    # Put on the origin that is known: whatever takes this URL apart finds the same host in it.
    return str(here.copy_with(raw_path=target.raw_path))


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port  # httpx leaves out a scheme's own port


def _spelled(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.host}{'' if url.port is None else f':{url.port}'}"
