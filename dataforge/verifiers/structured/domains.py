"""What documents are about: a dozen trades, each a table of slots, with the rules that hold between its fields.

To add one, add a `Domain`: everything else (schemas, prose, broken documents) follows from the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.structured.slots import (
    NAMES,
    Slot,
    address,
    amount,
    choice,
    code,
    count,
    day,
    flag,
    group,
    identity,
    link,
    mail,
    maybe,
    moment,
    numbers,
    or_null,
    rows,
    several,
    words,
    worked_out,
)

CITIES = (
    "Aarhus", "Bologna", "Cluj", "Dakar", "Essen", "Fès", "Ghent", "Hà Nội", "İzmir", "Jaipur", "Kraków", "Lima", "Malmö",
    "Nairobi", "Osaka", "Porto", "Québec", "Riga", "São Paulo", "Tromsø", "Utrecht", "Valencia", "Wrocław", "Zürich",
)  # fmt: skip
STREETS = (
    "Mill Lane",
    "Harbour Road",
    "Rue des Lilas",
    "Lindenweg",
    "Via Roma",
    "Station Street",
    "Quay 4",
    "Oak Avenue",
)
GOODS = (
    "desk lamp", "oak shelf", "wool blanket", "kettle", "bicycle pump", "garden hose", "notebook", "rain jacket", "tea pot",
    "phone case", "coffee grinder", "picture frame", "chef's knife", "hiking socks", "door mat", "USB-C cable",
)  # fmt: skip
COUNTRIES = ("NO", "DE", "FR", "JP", "KE", "BR", "CA", "IN", "ON", "NL")
CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF")


@dataclass(frozen=True, slots=True)
class Domain:
    """A trade.

    Attributes:
        name: of a document, in words; with underscores for blanks, of its root element.
        openings: sentences that prose may begin with.
        slots: the fields.
        rules: `x-rules` between them; one whose fields are not all declared is left out.
    """

    name: str
    openings: tuple[str, ...]
    slots: tuple[Slot, ...]
    rules: tuple[dict[str, Any], ...] = ()


DOMAINS: tuple[Domain, ...] = (
    Domain(
        "order",
        (
            "A customer has just placed an order in our shop.",
            "An order came in by phone; here is what was said.",
        ),
        (
            code("order_id", "The order number is {}.", "^ORD-[0-9]{5}$"),
            group(
                "customer",
                "",
                words("name", "The customer is {}.", NAMES),
                mail("email", "The customer's e-mail address is {}."),
                maybe(code("phone", "The customer can be reached at {}.", "^\\+[1-9][0-9]{8,11}$")),
            ),
            rows(
                "items",
                "These lines were ordered, in this order:",
                '{quantity} × "{name}" (SKU {sku}) at {unit_price} each',
                1,
                4,
                code("sku", "", "^[A-Z]{3}-[0-9]{4}$"),
                words("name", "", GOODS),
                count("quantity", "", 1, 20),
                amount("unit_price", "", 1, 250),
            ),
            worked_out("line_count", "integer"),
            choice("shipping", "It is to be shipped by the method {}.", ("standard", "express", "pickup")),
            day("ordered_on", "The order was placed on {}."),
            maybe(day("deliver_by", "It must arrive by {}.")),
            maybe(flag("gift", "It is a gift.", "It is not a gift.")),
            maybe(
                several(
                    "labels",
                    "The labels are {}.",
                    ("fragile", "priority", "wholesale", "first order", "b2b"),
                    1,
                    3,
                )
            ),
        ),
        ({"count": {"of": "items", "is": "line_count"}}, {"le": ["ordered_on", "deliver_by"]}),
    ),
    Domain(
        "booking",
        ("A guest books a room by e-mail.", "The front desk takes down a reservation."),
        (
            identity("booking_id", "The booking has the identifier {}."),
            words("guest", "The guest is {}.", NAMES),
            mail("email", "Confirmation goes to {}."),
            day("check_in", "Check-in is on {}."),
            day("check_out", "Check-out is on {}."),
            choice("room", "The guest wants a room of the type {}.", ("single", "double", "twin", "suite")),
            count("adults", "The number of adults is {}.", 1, 4),
            count("children", "The number of children is {}.", 0, 3),
            flag("breakfast", "Breakfast is included.", "Breakfast is not included."),
            or_null(
                code("loyalty_number", "The loyalty number is {}.", "^L[0-9]{7}$"),
                "The guest has no loyalty number.",
            ),
            maybe(amount("rate", "The rate is {} a night.", 40, 400)),
            maybe(
                several(
                    "requests",
                    "Requests: {}.",
                    ("late arrival", "high floor", "quiet room", "cot", "sea view"),
                    1,
                    3,
                )
            ),
        ),
        ({"lt": ["check_in", "check_out"]},),
    ),
    Domain(
        "sensor reading",
        ("A station in the field reports.", "Here is one message of our monitoring network."),
        (
            code("sensor_id", "The sensor is {}.", "^[a-z]{2}[0-9]{3}-[0-9]{2}$"),
            moment("measured_at", "The measurement was taken at {}."),
            choice("quantity", "It measures {}.", ("air_temperature", "soil_temperature", "dew_point")),
            amount("value", "The value is {}.", -40, 60, 1),
            choice("unit", "The unit is {}.", ("C", "F")),
            address("gateway", "It came through the gateway {}."),
            flag("calibrated", "The sensor is calibrated.", "The sensor is not calibrated."),
            group(
                "position",
                "",
                amount("latitude", "It stands at latitude {}.", -90, 90, 4),
                amount("longitude", "Its longitude is {}.", -180, 180, 4),
                maybe(count("altitude_m", "It is {} metres above the sea.", 0, 4000)),
            ),
            maybe(count("battery_percent", "Its battery is at {} per cent.", 0, 100)),
            maybe(numbers("raw", "The raw counts were {}, in this order.", 0, 4095, (2, 5))),
        ),
    ),
    Domain(
        "profile",
        ("Somebody signs up for our community.", "We move a member's data to the new system."),
        (
            code("username", "The user name is {}.", "^[a-z][a-z0-9_]{4,11}$"),
            words("display_name", "The name to show is {}.", NAMES),
            mail("email", "The e-mail address is {}."),
            day("joined", "The member joined on {}."),
            choice("role", "The role is {}.", ("member", "moderator", "admin")),
            flag("newsletter", "The newsletter is wanted.", "The newsletter is not wanted."),
            or_null(link("website", "The member's site is {}."), "The member has no site."),
            group(
                "address",
                "",
                words("street", "The street is {}.", STREETS),
                words("city", "The city is {}.", CITIES),
                code("postcode", "The postcode is {}, leading zeros included.", "^[0-9]{5}$"),
                choice("country", "The country code is {}.", COUNTRIES),
            ),
            maybe(
                several(
                    "interests",
                    "Interests: {}.",
                    ("chess", "bouldering", "jazz", "baking", "Go", "birds"),
                    1,
                    4,
                )
            ),
            maybe(count("age", "The member is {} years old.", 18, 90)),
        ),
    ),
    Domain(
        "recipe",
        ("A cook dictates a recipe.", "This recipe is to go into our collection."),
        (
            words(
                "title",
                'It is called "{}".',
                ("Leek tart", "Crème brûlée", "Lentil soup", "Shakshuka", "Mum's rice & peas"),
            ),
            count("servings", "It serves {}.", 1, 12),
            count("prep_minutes", "Preparation takes {} minutes.", 5, 90, 5),
            count("cook_minutes", "Cooking takes {} minutes.", 0, 240, 5),
            choice("difficulty", "The difficulty is {}.", ("easy", "medium", "hard")),
            rows(
                "ingredients",
                "The ingredients, in this order:",
                "{amount} {unit} of {name}",
                2,
                5,
                words(
                    "name",
                    "",
                    ("flour", "butter", "leek", "cream", "lentils", "tomatoes", "rice", "eggs", "sugar"),
                ),
                amount("amount", "", 0.5, 800, 1),
                choice("unit", "", ("g", "ml", "tbsp", "pieces")),
            ),
            several(
                "steps",
                "The steps are, in this order: {}.",
                ("chop", "mix", "rest", "bake", "simmer", "season", "serve"),
                2,
                5,
            ),
            flag("vegetarian", "It is vegetarian.", "It is not vegetarian."),
            maybe(
                several(
                    "allergens",
                    "It contains these allergens: {}.",
                    ("gluten", "milk", "egg", "nuts", "soy"),
                    1,
                    3,
                    closed=True,
                )
            ),
            maybe(link("source", "It was found at {}.")),
        ),
    ),
    Domain(
        "invoice",
        ("Our accountant needs this invoice in the books.", "An invoice was read out over the phone."),
        (
            code("number", "The invoice number is {}.", "^20[0-9]{2}-[0-9]{4}$"),
            day("issued", "It was issued on {}."),
            day("due", "It is due on {}."),
            choice("currency", "All amounts are in {}.", CURRENCIES),
            group(
                "supplier",
                "",
                words(
                    "name",
                    "The supplier is {}.",
                    ("Nordlicht GmbH", "Café & Co.", "Osprey Ltd", "Sato 商店", "Blue Hen LLC"),
                ),
                code("tax_id", "Its tax number is {}.", "^[A-Z]{2}[0-9]{9}$"),
            ),
            rows(
                "lines",
                "The lines, in this order:",
                '"{description}" for {amount}',
                1,
                5,
                words("description", "", GOODS),
                amount("amount", "", 5, 900),
            ),
            worked_out("total", "number"),
            flag("paid", "It has been paid.", "It has not been paid."),
            maybe(code("purchase_order", "It refers to purchase order {}.", "^PO[0-9]{6}$")),
        ),
        ({"le": ["issued", "due"]}, {"sum": {"of": "lines/*/amount", "is": "total"}}),
    ),
    Domain(
        "shipment",
        ("A parcel is handed over at the depot.", "The carrier sends a message about a parcel."),
        (
            code("tracking", "The tracking code is {}.", "^[A-Z]{2}[0-9]{9}[A-Z]{2}$"),
            words("origin", "It leaves from {}.", CITIES),
            words("destination", "It goes to {}.", CITIES),
            amount("weight_kg", "It weighs {} kg.", 0.1, 30, 2),
            group(
                "size_cm",
                "",
                count("length", "It is {} cm long.", 5, 150),
                count("width", "It is {} cm wide.", 5, 100),
                count("height", "It is {} cm high.", 1, 100),
            ),
            choice("status", "Its status is {}.", ("registered", "in_transit", "delivered", "returned")),
            moment("updated_at", "The status was set at {}."),
            flag("insured", "It is insured.", "It is not insured."),
            maybe(
                several(
                    "handling",
                    "Handling: {}.",
                    ("fragile", "keep_dry", "this_side_up", "cold"),
                    1,
                    3,
                    closed=True,
                )
            ),
            maybe(
                words(
                    "carrier", "The carrier is {}.", ("Postline", "Rapid Freight", "Gull Air", "Ibis Cargo")
                )
            ),
        ),
        ({"ne": ["origin", "destination"]},),
    ),
    Domain(
        "event",
        ("We announce an event.", "The programme office registers an event."),
        (
            words(
                "title",
                'Its title is "{}".',
                ("Open day", "Rust for cooks", "Night of museums", "Q&A: tides", "Jazz — live"),
            ),
            moment("starts_at", "It starts at {}."),
            moment("ends_at", "It ends at {}."),
            words("venue", "It takes place in {}.", CITIES),
            count("capacity", "There is room for {} people.", 10, 5000, 10),
            several("speakers", "The speakers are, in this order, {}.", NAMES, 1, 4),
            choice("format", "The format is {}.", ("onsite", "online", "hybrid")),
            maybe(link("stream", "It can be watched at {}.")),
            maybe(amount("ticket_price", "A ticket costs {}.", 0, 120)),
            maybe(
                several("topics", "Topics: {}.", ("data", "music", "water", "law", "craft", "space"), 1, 3)
            ),
        ),
        (
            {"lt": ["starts_at", "ends_at"]},
            {"required_if": {"field": "stream", "when": "format", "equals": "online"}},
        ),
    ),
    Domain(
        "job posting",
        ("The personnel office wants to post a vacancy.", "A vacancy is to be published."),
        (
            code("reference", "The reference is {}.", "^J-[0-9]{3}-[A-Z]$"),
            words(
                "title",
                'The position is "{}".',
                ("Data engineer", "Night nurse", "Pastry cook", "Tram driver", "Archivist"),
            ),
            words("city", "The place of work is {}.", CITIES),
            count("salary_min", "The salary begins at {}.", 24000, 60000, 500),
            count("salary_max", "The salary ends at {}.", 30000, 120000, 500),
            choice("contract", "The contract is {}.", ("permanent", "temporary", "internship")),
            flag("remote", "Remote work is possible.", "Remote work is not possible."),
            several(
                "skills",
                "These skills are asked for: {}.",
                ("SQL", "first aid", "C++", "French", "welding", "R"),
                1,
                4,
            ),
            group(
                "contact",
                "",
                words("name", "Questions go to {}.", NAMES),
                mail("email", "The address for questions is {}."),
            ),
            maybe(day("apply_by", "Applications are taken until {}.")),
            maybe(count("openings", "The number of openings is {}.", 1, 9)),
        ),
        ({"le": ["salary_min", "salary_max"]},),
    ),
    Domain(
        "library loan",
        ("A reader borrows books at the desk.", "The library's desk notes a loan."),
        (
            code("card", "The reader's card is {}.", "^[0-9]{8}$"),
            words("reader", "The reader is {}.", NAMES),
            rows(
                "books",
                "The books, in this order:",
                '"{title}" with the shelf mark {shelf}',
                1,
                4,
                words(
                    "title",
                    "",
                    ("Dune", "Momo", "L'Étranger", "1984", "Emma", "こころ", "War & Peace", "On the Road"),
                ),
                code("shelf", "", "^[A-Z]{2} [0-9]{3}[.][0-9]$"),
            ),
            worked_out("book_count", "integer"),
            day("lent_on", "They were lent on {}."),
            day("due_on", "They are due on {}."),
            choice("branch", "The branch is {}.", ("central", "north", "harbour", "mobile")),
            flag("renewable", "The loan can be renewed.", "The loan cannot be renewed."),
            maybe(count("renewals", "It was renewed {} times.", 0, 3)),
        ),
        ({"count": {"of": "books", "is": "book_count"}}, {"lt": ["lent_on", "due_on"]}),
    ),
    Domain(
        "appointment",
        ("A patient calls the surgery.", "The surgery's calendar gets a new entry."),
        (
            code("patient_id", "The patient's number is {}.", "^P[0-9]{6}$"),
            words("patient", "The patient is {}.", NAMES),
            moment("at", "The appointment is at {}."),
            count("minutes", "It is planned for {} minutes.", 10, 90, 5),
            choice(
                "kind",
                "It is an appointment of the kind {}.",
                ("check_up", "vaccination", "follow_up", "urgent"),
            ),
            words("practitioner", "The practitioner is {}.", NAMES),
            choice("reminder", "The reminder goes out by {}.", ("email", "sms", "none")),
            maybe(mail("email", "The e-mail address is {}.")),
            flag("first_visit", "It is the first visit.", "It is not the first visit."),
            or_null(
                code("insurance", "The insurance number is {}.", "^[A-Z][0-9]{9}$"),
                "The patient has no insurance number.",
            ),
            maybe(
                several(
                    "symptoms", "Symptoms: {}.", ("cough", "fever", "rash", "dizziness", "back pain"), 1, 3
                )
            ),
        ),
        (
            {"required_if": {"field": "email", "when": "reminder", "equals": "email"}},
            {"ne": ["patient", "practitioner"]},
        ),
    ),
    Domain(
        "server configuration",
        ("We set up a new machine.", "The operations team describes a server."),
        (
            code("hostname", "The host is called {}.", "^[a-z]{3,8}-[0-9]{2}$"),
            address("ip", "Its address is {}."),
            count("port", "It listens on port {}.", 1024, 65535),
            choice("environment", "The environment is {}.", ("development", "staging", "production")),
            flag("tls", "TLS is on.", "TLS is off."),
            group(
                "limits",
                "",
                count("min_workers", "It runs at least {} workers.", 1, 32),
                count("max_workers", "It runs at most {} workers.", 1, 64),
                maybe(amount("timeout_s", "The time limit is {} seconds.", 0.5, 60, 1)),
            ),
            several("admins", "The administrators are, in this order, {}.", NAMES, 1, 3),
            or_null(link("health_check", "The health check is at {}."), "There is no health check."),
            maybe(identity("instance", "The instance is {}.")),
            maybe(numbers("extra_ports", "Further ports are {}, in this order.", 1024, 65535, (1, 4))),
        ),
        ({"le": ["limits/min_workers", "limits/max_workers"]},),
    ),
)
