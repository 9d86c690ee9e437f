"""What Zoho CRM allows each edition: API credits within 24 hours, and calls at a time.

Source: "API Limits" of Zoho CRM's documentation and Zoho's Kaizen post 93. Where older texts name
other caps, the newer ones stand here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Edition(NamedTuple):
    """Credits are per org and any 24 hours; ``most_credits`` is None where there is no cap."""

    key: str
    calls_at_a_time: int
    base_credits: int
    credits_per_user: int
    most_credits: int | None

    def credits(self, users: int) -> int:
        """API credits within 24 hours of an org with so many paid users."""
        wanted = self.base_credits + self.credits_per_user * max(users, 0)
        return min(wanted, self.most_credits) if self.most_credits is not None else wanted


EDITIONS: Mapping[str, Edition] = MappingProxyType(
    {
        edition.key: edition
        for edition in (
            Edition("free", 5, 5_000, 0, 5_000),
            Edition("standard", 10, 50_000, 250, 100_000),
            Edition("professional", 15, 50_000, 500, 3_000_000),
            Edition("enterprise", 20, 50_000, 1_000, 5_000_000),
            Edition("ultimate", 25, 50_000, 2_000, None),
        )
    }
)
