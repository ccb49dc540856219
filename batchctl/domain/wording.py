"""Counts in messages."""


def plural(count: int, one: str, many: str = "") -> str:
    """Return a number and what it counts, in the plural where there is not one: `1 batch`, `2 batches`.

    `many` is the plural, where it is not made by adding `s`, or `es` after `ch`.
    """
    return f"{count:,} {one if count == 1 else many or one + ('es' if one.endswith('ch') else 's')}"
