"""What the edge needs of others: `claw_hub.accounts` has both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from claw_hub.records import Kind

__all__ = ["Admission", "Admit", "Authenticate", "Count", "Principal", "Tenant"]


class Tenant(Protocol):
    """Whose records they are."""

    @property
    def id(self) -> int:
        """What the warehouse knows it by."""
        ...


class Principal(Protocol):
    """Who asks."""

    @property
    def tenant(self) -> Tenant:
        """Whose records they are."""
        ...

    @property
    def role(self) -> str | None:
        """Of a person; a key has none."""
        ...


_Who_co = TypeVar("_Who_co", covariant=True)
_ForWhom_contra = TypeVar("_ForWhom_contra", contravariant=True)


class Admission(Protocol):
    """Leave to go on."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of the answer: what is left of the quota."""
        ...


class Authenticate(Protocol[_Who_co]):
    """`Accounts.authenticate`."""

    async def __call__(self, *, api_key: str = "", bearer: str = "") -> _Who_co:
        """Returns who asks; raises `CredentialsError`, or `UnavailableError` where nobody can tell."""
        ...


class Admit(Protocol[_ForWhom_contra]):
    """`Limits.admit`."""

    async def __call__(
        self, principal: _ForWhom_contra, /, *, records: int, tokens: int, projects: Collection[str]
    ) -> Admission:
        """Raises `QuotaError` or `RateError` where the tenant has had enough."""
        ...


class Count(Protocol):
    """Counts requests; called once for each."""

    def __call__(self, kind: Kind, outcome: str, *, records: int, body_bytes: int) -> None:
        """Takes the outcome: ``accepted``, ``disconnected``, or an error's id; then there are 0 records."""
        ...
