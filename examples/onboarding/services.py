"""A directory and a supplier for the demo and the test; a key that was seen does nothing a second time."""

from __future__ import annotations

from examples.onboarding.workflow import Directory, Supplier
from stepkeel import TransientError


class Accounts:
    """Who may use which system. `away`: so many calls fail before it answers again."""

    def __init__(self, *, away: int = 0) -> None:
        self.open: set[tuple[str, str]] = set()
        self.away = away

    async def grant(self, person: str, system: str, *, key: str) -> None:
        if self.away:
            self.away -= 1
            raise TransientError("the directory is away")
        self.open.add((person, system))

    async def revoke(self, person: str, system: str, *, key: str) -> None:
        self.open.discard((person, system))


class Wholesaler:
    """Has some articles, and gives each order a number."""

    def __init__(self, *articles: str) -> None:
        self.articles = articles
        self.orders: dict[str, str] = {}

    async def order(self, article: str, *, key: str) -> str | None:
        if article not in self.articles:
            return None
        return self.orders.setdefault(key, f"delivery-{len(self.orders) + 1}")


def services(accounts: Accounts, supplier: Wholesaler) -> dict[type, object]:
    return {Directory: accounts, Supplier: supplier}
