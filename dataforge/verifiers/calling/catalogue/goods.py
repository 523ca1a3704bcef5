"""Money and shopping."""

from __future__ import annotations

from dataforge.verifiers.calling.catalogue import slots
from dataforge.verifiers.calling.catalogue.offers import Offer

_CURRENCIES = ("EUR", "USD", "GBP", "JPY", "BRL", "CHF", "KES", "NOK")
_CURRENCY = {"type": "string", "enum": list(_CURRENCIES), "description": "the currency's code"}
_THINGS = ("desk lamp", "USB-C cable", "notebook", "water bottle", "phone case", "umbrella", "coffee grinder")
_PRODUCTS = slots.quoted(
    "wireless headphones", "trail running shoes", "cast-iron pan", "4K monitor", "rain jacket", "chess set"
)

OFFERS = (
    Offer(
        "convert_currency", "finance", "Converts an amount of money.",
        {"amount": {"type": "number"}, "from_currency": _CURRENCY, "to_currency": _CURRENCY},
        ("amount", "from_currency", "to_currency"),
        {"amount": slots.amount(5, 9000), "from_currency": slots.plain(*_CURRENCIES[:4]), "to_currency": slots.plain(*_CURRENCIES[4:])},
        ("Convert {amount} {from_currency} to {to_currency}.", "How much is {amount} {from_currency} in {to_currency}?"),
        ("How much is 200 EUR in the currency I need?",),
    ),
    Offer(
        "get_stock_price", "finance", "Tells the price of a share.",
        {"ticker": {"type": "string"}, "date": {"type": "string", "description": "YYYY-MM-DD; left out for now"}},
        ("ticker",),
        {"ticker": slots.plain("ACME", "NRTH", "BLUW", "QZTC", "OAKS", "FERN"), "date": slots.date},
        ("What does a share of {ticker} cost now?", "What was the price of {ticker} on {date}?"),
    ),
    Offer(
        "transfer_money", "finance", "Sends money from the user's account.",
        {"to_account": {"type": "string"}, "amount": {"type": "number", "exclusiveMinimum": 0}, "currency": _CURRENCY,
         "reference": {"type": "string", "description": "what the receiver reads"},
         "urgent": {"type": "boolean", "default": False}},
        ("to_account", "amount", "currency"),
        {"to_account": slots.code("AC-", 7), "amount": slots.amount(10, 4000), "currency": slots.plain(*_CURRENCIES),
         "reference": slots.quoted("rent March", "invoice 2291", "gift", "club fee 2027", "Miete März")},
        ("Transfer {amount} {currency} to account {to_account}.",
         "Send {amount} {currency} to account {to_account} with the reference {reference}.",
         ("Urgent transfer, please: {amount} {currency} to {to_account}, reference {reference}.", {"urgent": True})),
        ("Send 50 EUR to my landlord.",),
    ),
    Offer(
        "calculate_loan", "finance", "Works out the monthly payment of a loan.",
        {"principal": {"type": "number"}, "annual_rate_percent": {"type": "number"}, "years": {"type": "integer"}},
        ("principal", "annual_rate_percent", "years"),
        {"principal": slots.whole(5000, 400000, 500), "annual_rate_percent": slots.amount(1, 9, 2), "years": slots.whole(1, 30)},
        ("What would I pay a month on a loan of {principal} at {annual_rate_percent} percent a year over {years} years?",
         "Work out the monthly rate: principal {principal}, {annual_rate_percent}% annual interest, {years} years."),
    ),
    Offer(
        "search_products", "shopping", "Searches the shop.",
        {"query": {"type": "string"},
         "price": {"type": "object", "description": "limits of the price, in euros",
                   "properties": {"min": {"type": "number"}, "max": {"type": "number"}}},
         "sort": {"type": "string", "enum": ["relevance", "price_low", "price_high", "rating"], "default": "relevance"},
         "in_stock": {"type": "boolean", "description": "only what can be sent at once"}},
        ("query",),
        {"query": _PRODUCTS, "price.min": slots.whole(5, 40), "price.max": slots.amount(50, 400),
         "sort": slots.called(price_low="cheapest first", price_high="most expensive first", rating="best rated first")},
        ("Search the shop for {query}.", "Search the shop for {query}, {sort}.",
         "Search for {query} costing at least {price.min} and at most {price.max} euros.",
         ("Search for {query} up to {price.max} euros, only what is in stock, {sort}.", {"in_stock": True})),
    ),
    Offer(
        "place_order", "shopping", "Orders goods and sends them to an address.",
        {"items": {"type": "array", "minItems": 1,
                   "items": {"type": "object", "properties": {"item": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
                             "required": ["item", "quantity"]}},
         "address": {"type": "object",
                     "properties": {"name": {"type": "string"}, "street": {"type": "string"}, "city": {"type": "string"}},
                     "required": ["name", "street", "city"]},
         "gift_wrap": {"type": "boolean", "default": False}},
        ("items", "address"),
        {"items": slots.items(_THINGS), "address.name": slots.person, "address.street": slots.street, "address.city": slots.city},
        ("Order {items} and ship to {address.name}, {address.street}, {address.city}.",
         ("I'd like {items}, gift-wrapped, delivered to {address.name} at {address.street} in {address.city}.", {"gift_wrap": True})),
        ("Order three umbrellas for me.",),
    ),
    Offer(
        "track_order", "shopping", "Tells where an order is.",
        {"order_id": {"type": "string"}}, ("order_id",), {"order_id": slots.code("ORD-", 6)},
        ("Where is my order {order_id}?", "Track order {order_id}, please."),
        ("Where is my order? I lost the confirmation mail with the number.",),
    ),
    Offer(
        "return_item", "shopping", "Starts a return.",
        {"order_id": {"type": "string"}, "item": {"type": "string"},
         "reason": {"type": "string", "enum": ["damaged", "wrong_item", "too_late", "no_longer_needed"]},
         "refund": {"type": "string", "enum": ["money", "voucher"]}},
        ("order_id", "item", "reason", "refund"),
        {"order_id": slots.code("ORD-", 6), "item": slots.plain(*_THINGS),
         "reason": slots.called(damaged="it is damaged", wrong_item="it is the wrong item", no_longer_needed="I no longer need it"),
         "refund": slots.called(money="my money back", voucher="a voucher")},
        ("I want to return the {item} from order {order_id} because {reason}; I'd like {refund}.",),
    ),
)  # fmt: skip
"""The tools of these domains."""
