"""With which account a create was made: base URL, the account that the API names, a salted fingerprint of the key.

Another account does not see what this one created: that its list lacks a batch would mean nothing.
"""

from dataclasses import dataclass, replace

KEY_PREFIX = "key:"
# The organization and the API workspace.
NAMES_PER_ACCOUNT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`named`: organization and API workspace, as the API's answers name them; empty behind a gateway that drops these headers.

    `key`: empty for a credential that changes by itself, as one of a profile does, and in what older versions stored.
    """

    url: str
    named: str = ""
    key: str = ""

    def stored(self) -> str:
        """As one text."""
        return " ".join(part for part in (self.url, self.named, KEY_PREFIX + self.key if self.key else "") if part)

    def shown(self) -> str:
        """As a person knows it."""
        return f"{self.url} {self.named}".strip()


def account_of(stored: str) -> Account:
    url, *words = stored.split(" ")
    named = " ".join(word for word in words if not word.startswith(KEY_PREFIX))
    key = next((word.removeprefix(KEY_PREFIX) for word in words if word.startswith(KEY_PREFIX)), "")
    return Account(url=url, named=named, key=key)


def is_other(stored: str, here: Account) -> bool:
    """Whether a create was certainly made with another account, or nobody can say that it was this one.

    The API's own names decide where both are known whole, for an account may have several keys; else the key does. An empty
    text says nothing.
    """
    if not stored:
        return False
    there = account_of(stored)
    if there.url.rstrip("/") != here.url.rstrip("/"):
        return True
    if there.named and here.named:
        # An answer may leave out one of the names.
        theirs, ours = set(there.named.split()), set(here.named.split())
        if not (theirs <= ours or ours <= theirs):
            return True
        # Of one organization there are several API workspaces, and each sees its own batches alone.
        if min(len(theirs), len(ours)) >= NAMES_PER_ACCOUNT:
            return False
    return bool(there.key and here.key) and there.key != here.key


def is_same(stored: str, here: Account) -> bool:
    """Whether a create was certainly made with this account: what this one does not know is gone then, and not elsewhere."""
    there = account_of(stored)
    is_named, is_of_key = len(there.named.split()) >= NAMES_PER_ACCOUNT, bool(there.key)
    return not is_other(stored, here) and (
        (is_named and there.named == here.named) or (is_of_key and there.key == here.key)
    )


def is_other_key(stored: str, here: Account) -> bool:
    """Whether nothing but the key speaks for another account: it may have been rotated, and be the same account's."""
    without_key = replace(account_of(stored), key="").stored()
    return is_other(stored, here) and not is_other(without_key, here)
