"""How a message says a number of things."""


def plural(value: int, one: str, many: str = "") -> str:
    """Return a number and what it counts: `1 batch`, `2 batches`, `0 batches`.

    `many`: the words where there is not one, if more than a plural ending changes: `plural(n, "batch is", "batches are")`.
    """
    return f"{value:,} {one if value == 1 else many or one + ('es' if one.endswith('ch') else 's')}"


def of_total(value: int, total: int, one: str, many: str = "") -> str:
    """Return a part of a number of things: `1 of 3 batches`, `1 of 1 batch`."""
    return f"{value:,} of {plural(total, one, many)}"
