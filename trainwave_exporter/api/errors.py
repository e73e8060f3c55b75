"""What can go wrong between the exporter and the API, as one tree.

    TrainwaveError
    ├── NoAnswer                nothing (or not all of it) came back
    │   ├── Timeout             the whole exchange took longer than allowed
    │   └── ConnectionFailed    refused, reset, cut off half-way, no HTTP, a name without address
    ├── UnusableAnswer          something came back that cannot be used
    │   ├── NotJson             HTML, half a JSON, bytes that are no text
    │   ├── UnexpectedShape     JSON, but not of this endpoint's shape (``data: null``, wrong types)
    │   ├── BodyTooLarge        more bytes, values or items than such an answer may hold
    │   ├── UnsupportedEncoding compressed as was not requested, or more than once
    │   └── RedirectRefused     to another origin, or in circles; the key was not sent there
    └── Refused                 the API said no (or the exporter, before asking, about a bad key)
        ├── InvalidKey          401, 403, or code ``invalid_api_key``
        ├── Forbidden           401, 403 and the like that say nothing of the key, as of a proxy
        ├── RateLimited         429, or code ``rate_limit_exceeded``
        ├── NotFound            404
        ├── BadRequest          any other 4xx, and ``success: false`` on a 2xx
        └── ServerError         5xx

Every leaf has its own ``outcome``, the label under which an exchange is counted. Whatever text of
the API stands in a message was shortened, freed of control characters and of the key beforehand.
No error has a cause or context: those hold requests, and requests hold the key.
"""

from __future__ import annotations

from typing import ClassVar


class TrainwaveError(Exception):
    """A failed exchange with the API."""

    outcome: ClassVar[str] = "error"


class NoAnswer(TrainwaveError):  # noqa: N818 - says what happened, as all of the tree
    """No answer, or an incomplete one."""

    outcome = "no_answer"


class Timeout(NoAnswer):
    """The whole exchange, from connecting to the last byte, took longer than allowed."""

    outcome = "timeout"


class ConnectionFailed(NoAnswer):
    """No connection, a broken one, or one over which something else than HTTP came."""

    outcome = "connection"


class UnusableAnswer(TrainwaveError):  # noqa: N818 - says what happened, as all of the tree
    """An answer that cannot be used."""

    outcome = "unusable"


class NotJson(UnusableAnswer):
    """The body is not (or not all of) a JSON text."""

    outcome = "not_json"


class UnexpectedShape(UnusableAnswer):
    """The body is JSON, but does not have the shape of this endpoint's answers."""

    outcome = "unexpected_shape"


class BodyTooLarge(UnusableAnswer):
    """The body is larger than an answer of its kind may be; the message says in what."""

    outcome = "too_large"


class UnsupportedEncoding(UnusableAnswer):
    """The body is compressed as was not requested, or more than once; it was not read."""

    outcome = "unsupported_encoding"


class RedirectRefused(UnusableAnswer):
    """A redirect to another origin, which would leak the key, or one too many."""

    outcome = "redirect"


class Refused(TrainwaveError):  # noqa: N818 - says what happened, as all of the tree
    """The API answered with an error."""

    outcome = "refused"

    def __init__(self, status: int | None, code: str | None, message: str) -> None:
        status_text = f"{status or 'not sent'}{f' {code}' if code else ''}"
        super().__init__(f"{message} ({status_text})")
        self.status = status
        """The HTTP status; ``None`` where nothing was sent for want of a usable key."""
        self.code = code
        """The API's own word for it, where it has one."""
        self.message = message
        """The API's own sentence, or ours where it gave none."""


class InvalidKey(Refused):
    """The key is wrong, expired, or not one that a header can carry."""

    outcome = "invalid_key"


class Forbidden(Refused):
    """The request was refused, but not because of the key, as far as is known.

    A proxy, firewall or gateway does that, and the API with a code that is not about the key.
    """

    outcome = "forbidden"


class RateLimited(Refused):
    """Too many requests."""

    outcome = "rate_limited"

    def __init__(
        self, status: int | None, code: str | None, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after
        """Seconds to send nothing for, by ``Retry-After``; None where there was none."""


class NotFound(Refused):
    """There is no such object, or none that this key may see."""

    outcome = "not_found"


class BadRequest(Refused):
    """The request was not accepted."""

    outcome = "bad_request"


class ServerError(Refused):
    """The API failed."""

    outcome = "server_error"

    def __init__(
        self, status: int | None, code: str | None, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after
        """Seconds to send nothing for, by ``Retry-After``; None where there was none."""
