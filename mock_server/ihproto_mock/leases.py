"""One use of a credential while it lasts, and what it is charged with; `ihproto_mock.credentials` tells the rules."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

import attrs

from ihproto.errorcodes import ERROR_CODES
from ihproto.wire import HttpError


@attrs.frozen
class Denial:
    """Why something is not allowed.

    Attributes:
        status: The HTTP status.
        error_id: The error id, None when the documents have none for it.
        message: What is wrong and what cures it, for a person; no secret is in it.
        clause_id: The clause that asks for it.
        after_upgrade: On the stream endpoint, whether to accept the upgrade all the same, and to refuse the session
            with this error (HS-11).
    """

    status: int
    error_id: str | None
    message: str
    clause_id: str
    after_upgrade: bool = False

    @classmethod
    def of(cls, error_id: str, clause_id: str, cure: str, *, after_upgrade: bool = False) -> Denial:
        """Make a denial with the status and the meaning of an error id.

        Raises:
            KeyError: If there is no such id.
            ValueError: If it is never said over HTTP.
        """
        known = ERROR_CODES[error_id]
        if known.http_status is None:
            raise ValueError(f"{error_id} is never said over HTTP")
        return cls(known.http_status, error_id, f"{known.meaning}; {cure}", clause_id, after_upgrade)

    @property
    def error(self) -> HttpError:
        """The error as it is said over HTTP (ERR-3), without the id of the request."""
        if self.error_id is None:
            return HttpError(message=self.message)
        return HttpError.of(self.error_id, message=self.message)


@attrs.frozen
class Caps:
    """The caps of a client token, named as in `ihproto.tokens.ClientToken`; None is no cap (AUT-2)."""

    max_duration_seconds: int | None = None
    max_bytes: int | None = None
    max_concurrent: int | None = None
    max_video_seconds: int | None = None
    allowed_origins: tuple[str, ...] | None = None


@attrs.define(eq=False)
class Standing:
    """Where one credential stands: what it may do, and how much of it was done.

    Attributes:
        scopes: Its scopes.
        caps: Its caps.
        expires_at: When nothing new can begin with it any more.
        account: Whose it is; the same for all that was issued to one customer.
        issuer: The digest of the API key that issued it; None when it is no client token.
        revoked: Whether it was revoked.
        running: How many leases are out.
        bytes_taken: The bytes charged to it.
        video_taken: The video charged to it, in whole microseconds, since a sum of fractions drifts.
    """

    scopes: frozenset[str]
    caps: Caps = attrs.field(factory=Caps)
    expires_at: float = math.inf
    account: str = attrs.field(default="", repr=False)
    issuer: bytes | None = attrs.field(default=None, repr=False)
    revoked: bool = False
    running: int = 0
    bytes_taken: int = 0
    video_taken: int = 0

    def ended(self, now: float) -> Denial | None:
        """Why nothing new can begin with it, None when it can."""
        if now >= self.expires_at:
            if self.issuer is None:
                return Denial.of("ih2001", "AUT-1", "the access token has expired, exchange the key pair for a new one")
            return Denial.of("ih2010", "AUT-2", "ask for a new one")
        return self.withdrawn()

    def withdrawn(self) -> Denial | None:
        """Why nothing can go on with it, None when it can."""
        return Denial.of("ih2014", "AUT-2", "ask for a new one") if self.revoked else None

    def without_bytes(self, count: int) -> Denial | None:
        """Why so many bytes are too many, None when they are not."""
        most = self.caps.max_bytes
        if most is None or self.bytes_taken + count <= most:
            return None
        return _spent("ih3003", f"{self.bytes_taken} of the {most} bytes of max_bytes")

    def without_video(self, microseconds: int) -> Denial | None:
        """Why so much video is too much, None when it is not."""
        most = self.caps.max_video_seconds
        if most is None or self.video_taken + microseconds <= most * 1_000_000:
            return None
        return _spent("ih3006", f"{self.video_taken / 1e6:.6g} of the {most} seconds of max_video_seconds")


def _spent(error_id: str, used: str) -> Denial:
    return Denial.of(error_id, "AUT-2", f"{used} are used, and this needs more than is left; ask for a new token")


class Lease:
    """One use of a credential while it lasts: a session, or an upload. Made by `Grant.begin`.

    As a context manager it is released at the end of the block.
    """

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._held = True
        standing.running += 1

    def __enter__(self) -> Self:
        """Return the lease."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lease."""
        self.release()

    @property
    def account(self) -> str:
        """Whose credential it is."""
        return self._standing.account

    @property
    def max_duration_seconds(self) -> int | None:
        """The longest that this session may last, in seconds; None for no cap of the credential (AUT-2)."""
        return self._standing.caps.max_duration_seconds

    def check(self) -> Denial | None:
        """Whether this can go on, to be asked at each segment: None, or ih2014 when it has to end (AUT-2)."""
        return self._standing.withdrawn()

    def take_bytes(self, count: int) -> Denial | None:
        """Charge bytes to the budget of the credential, all of them or none.

        Args:
            count: How many bytes.

        Returns:
            None, or ih3003 when they do not fit into what is left (AUT-2).

        Raises:
            ValueError: If the count is negative.
        """
        if count < 0:
            raise ValueError(f"{count} bytes cannot be taken; a count is not negative")
        denial = self._standing.without_bytes(count)
        if denial is None:
            self._standing.bytes_taken += count
        return denial

    def give_back_bytes(self, count: int) -> None:
        """Return bytes that were charged for something that was refused in the end."""
        self._standing.bytes_taken -= count

    def take_video(self, seconds: float) -> Denial | None:
        """Charge video to the budget of the credential, all of it or none.

        Args:
            seconds: How much video, to the microsecond.

        Returns:
            None, or ih3006 when it does not fit into what is left (AUT-2).

        Raises:
            ValueError: If the number is negative or not finite.
        """
        if seconds < 0 or not math.isfinite(seconds):
            raise ValueError(f"{seconds} seconds of video cannot be taken; take a finite number that is not negative")
        wanted = round(seconds * 1_000_000)
        denial = self._standing.without_video(wanted)
        if denial is None:
            self._standing.video_taken += wanted
        return denial

    def release(self) -> None:
        """Make room for another use; a second time does nothing. What was taken stays taken."""
        if self._held:
            self._held = False
            self._standing.running -= 1


class Grant:
    """The answer to a credential that may do what it wants to do. Made by `CredentialStore.authorize`."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    @property
    def account(self) -> str:
        """Whose credential it is."""
        return self._standing.account

    def begin(self, now: float) -> Lease | Denial:
        """Begin a session, or an upload.

        Args:
            now: The time; a token may have come to its end since it was authorized.

        Returns:
            The lease, to be released at the end, or what stands against it: the end of the token, too much at the
            same time (ih3002), or a budget of which nothing is left (ih3003, ih3006).
        """
        standing = self._standing
        denial = standing.ended(now) or standing.without_bytes(1) or standing.without_video(1)
        if denial is not None:
            return denial
        most = standing.caps.max_concurrent
        if most is not None and standing.running >= most:
            return Denial.of(
                "ih3002", "AUT-2", f"as many as max_concurrent allows, {most}, are under way; end one before the next"
            )
        return Lease(standing)
