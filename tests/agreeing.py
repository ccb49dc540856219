"""A person who has read the price: nearly every test is about something else."""

from collections.abc import Iterable

# To the price alone: to a warning, or to a canceled job, a test says yes itself.
TO_ANY_PRICE = ("--max-cost", "1000000")
TO_THE_PRICE_OF_A_ROUND = ("--yes",)
# Who says something about it, or sends nothing.
SAYING = {"--max-cost", "--yes", "--dry-run", "--edit", "--show"}


def agreed(words: Iterable[object]) -> list[str]:
    """The words of a command; of one that would ask what a person thinks of the price, with the answer."""
    found = [str(word) for word in words]
    if not SAYING.isdisjoint(found):
        return found
    answers = {"submit": TO_ANY_PRICE, "run": TO_ANY_PRICE, "retry": TO_THE_PRICE_OF_A_ROUND}
    return [*found, *answers.get(found[0], ())] if found else found
