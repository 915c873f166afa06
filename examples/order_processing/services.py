"""What the pipeline asks of the world, and a world for the demo and the test: small, in memory, and honest about keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from stepkeel import TransientError


class SoldOut(Exception):
    """The sku that is not there."""


class CardDeclined(Exception):
    """Nothing that another attempt would change."""


class Inventory(Protocol):
    async def reserve(self, quantities: Mapping[str, int], *, key: str) -> str: ...
    async def release(self, reservation: str | None, *, key: str) -> None: ...


class Payments(Protocol):
    async def charge(self, customer: str, amount: Decimal, *, key: str) -> str: ...
    async def refund(self, charge: str | None, *, key: str) -> None: ...


class Shipping(Protocol):
    async def send(self, order_id: str, to: str, *, key: str) -> str: ...


class Mail(Protocol):
    async def send(self, to: str, text: str, *, key: str) -> None: ...


class Shop:
    """Shelves, a till, a carrier and a post box. A key that was seen does nothing a second time.

    stock     how many there are of each sku
    away      how many calls of the till fail before it is there again
    no_credit customers whose cards are declined
    """

    def __init__(self, stock: Mapping[str, int], *, away: int = 0, no_credit: tuple[str, ...] = ()) -> None:
        self.stock = Counter(stock)
        self.reserved: dict[str, Mapping[str, int]] = {}
        self.charges: dict[str, Decimal] = {}
        self.parcels: dict[str, str] = {}
        self.letters: dict[str, tuple[str, str]] = {}
        self.away = away
        self.no_credit = no_credit

    async def reserve(self, quantities: Mapping[str, int], *, key: str) -> str:
        if key not in self.reserved:
            for sku, quantity in quantities.items():
                if self.stock[sku] < quantity:
                    raise SoldOut(sku)
            self.stock.subtract(quantities)
            self.reserved[key] = quantities
        return key

    async def release(self, reservation: str | None, *, key: str) -> None:
        self.stock.update(self.reserved.pop(reservation or "", {}))

    async def charge(self, customer: str, amount: Decimal, *, key: str) -> str:
        if self.away:
            self.away -= 1
            raise TransientError("the till is away")
        if customer in self.no_credit:
            raise CardDeclined(f"the card of {customer} was declined")
        self.charges.setdefault(key, amount)
        return key

    async def refund(self, charge: str | None, *, key: str) -> None:
        self.charges.pop(charge or "", None)


class Carrier:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def send(self, order_id: str, to: str, *, key: str) -> str:
        return self.shop.parcels.setdefault(key, f"parcel-{len(self.shop.parcels) + 1}")


class PostBox:
    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def send(self, to: str, text: str, *, key: str) -> None:
        self.shop.letters.setdefault(key, (to, text))


def services(shop: Shop) -> dict[type, object]:
    return {Inventory: shop, Payments: shop, Shipping: Carrier(shop), Mail: PostBox(shop)}
