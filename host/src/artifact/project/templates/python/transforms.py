"""Turns amounts into euros."""


def to_euro(record, *, rates):
    """Adds amount_eur.

    What is raised refuses the row, None leaves it out, a list makes several rows of it.
    """
    currency = record["currency"]
    if currency not in rates:
        raise ValueError(f"no rate for {currency}")
    record["amount_eur"] = round(record["amount"] * rates[currency], 2)
    return record
