"""The rules that tell accounts apart (pure): was a create made with the account that is in use now?

An account sees only its own batches, so the list of another account never proves that a batch is missing.
"""

from dataclasses import dataclass, replace

KEY_PREFIX = "key:"
# The organization and the API workspace: an account that is named whole has both.
NAMES_PER_ACCOUNT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the API, as far as it is known.

    Attributes:
        url: The base URL.
        named: Organization and API workspace as the headers of the API's answers name them, separated by a space; empty
            behind a gateway that drops these headers.
        key: A salted fingerprint of the key; empty for a credential that changes by itself, such as that of a profile, and
            in the ledgers of older versions.
    """

    url: str
    named: str = ""
    key: str = ""

    def stored(self) -> str:
        """Return the account as the text that the ledger keeps. `account_of` reads it."""
        return " ".join(part for part in (self.url, self.named, KEY_PREFIX + self.key if self.key else "") if part)

    def shown(self) -> str:
        """Return the account as a person knows it, without the key."""
        return f"{self.url} {self.named}".strip()


def account_of(stored: str) -> Account:
    """Return the account that `Account.stored` made a text of."""
    url, *words = stored.split(" ")
    named = " ".join(word for word in words if not word.startswith(KEY_PREFIX))
    key = next((word.removeprefix(KEY_PREFIX) for word in words if word.startswith(KEY_PREFIX)), "")
    return Account(url=url, named=named, key=key)


def is_other(stored: str, here: Account) -> bool:
    """Return whether a create was made with another account than `here`, or with another key that may be another account's.

    The names decide where both accounts are named whole, because an account may have several keys; otherwise the key decides.
    An empty text, for an unknown account, is no other.
    """
    if not stored:
        return False
    there = account_of(stored)
    if there.url.rstrip("/") != here.url.rstrip("/"):
        return True
    if there.named and here.named:
        # An answer may lack one of the names.
        names_there, names_here = set(there.named.split()), set(here.named.split())
        if not (names_there <= names_here or names_here <= names_there):
            return True
        # One name is not enough: an organization has several API workspaces, and each sees only its own batches.
        if min(len(names_there), len(names_here)) >= NAMES_PER_ACCOUNT:
            return False
    return bool(there.key and here.key) and there.key != here.key


def is_same(stored: str, here: Account) -> bool:
    """Return whether a create was certainly made with the account `here`, so that a batch that it does not know is gone."""
    there = account_of(stored)
    is_named, is_of_key = len(there.named.split()) >= NAMES_PER_ACCOUNT, bool(there.key)
    return not is_other(stored, here) and (
        (is_named and there.named == here.named) or (is_of_key and there.key == here.key)
    )


def is_other_key(stored: str, here: Account) -> bool:
    """Return whether only the key differs: it may be another key of the same account, for example after a rotation."""
    without_key = replace(account_of(stored), key="").stored()
    return is_other(stored, here) and not is_other(without_key, here)
