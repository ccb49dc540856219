"""With which account a create was made: who may say that the API does not have it."""

import pytest

from batchctl.engine.accounts import Account, account_of, is_other, is_other_key, is_same

URL, GATEWAY = "https://api.anthropic.com", "https://gateway.example:8443/v1"
NAMED, OTHERS = "org_1 wrkspc_1", "org_1 wrkspc_2"
KEY, OTHER_KEY = "0123456789ab", "ba9876543210"


def an_account(url: str = URL, named: str = NAMED, key: str = KEY) -> Account:
    return Account(url=url, named=named, key=key)


ACCOUNTS = [
    an_account(),
    an_account(named=""),
    an_account(named="org_1"),
    an_account(key=""),
    an_account(named="", key=""),
    an_account("default"),
    an_account(GATEWAY),
]


@pytest.mark.parametrize("one", ACCOUNTS)
def test_an_account_is_read_back_from_its_text(one: Account) -> None:
    assert account_of(one.stored()) == one
    assert not is_other(one.stored(), one)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        # As older versions stored it: without a key.
        ("default org_1 wrkspc_1", Account(url="default", named="org_1 wrkspc_1")),
        ("default", Account(url="default")),
        (f"{GATEWAY} ", Account(url=GATEWAY)),
        (f"default key:{KEY}", Account(url="default", key=KEY)),
        (f"default org_1 wrkspc_1 key:{KEY}", Account(url="default", named="org_1 wrkspc_1", key=KEY)),
    ],
)
def test_what_was_stored_is_taken_apart(stored: str, expected: Account) -> None:
    assert account_of(stored) == expected


@pytest.mark.parametrize("one", ACCOUNTS)
def test_a_person_is_not_shown_the_fingerprint(one: Account) -> None:
    assert KEY not in one.shown()
    assert one.shown() == f"{one.url} {one.named}".rstrip()


@pytest.mark.parametrize(
    ("there", "here", "expected"),
    [
        (an_account(), an_account(), False),
        # Another URL is another account, whatever else is the same.
        (an_account(GATEWAY), an_account(), True),
        (an_account("default"), an_account(), True),
        (an_account(GATEWAY, "", ""), an_account(named="", key=""), True),
        # Both names are known: they decide, for an account may have several keys.
        (an_account(key=OTHER_KEY), an_account(), False),
        (an_account(named=OTHERS), an_account(), True),
        (an_account(named=OTHERS, key=""), an_account(key=""), True),
        (an_account(named="org_1"), an_account(), False),
        # An organization alone has several API workspaces: the keys decide.
        (an_account(named="org_1"), an_account(named="org_1"), False),
        (an_account(named="org_1", key=OTHER_KEY), an_account(named="org_1"), True),
        (an_account(named="org_1", key=OTHER_KEY), an_account(), True),
        (an_account(key=OTHER_KEY), an_account(named="org_1"), True),
        (an_account(named="org_1", key=""), an_account(), False),
        # A name is missing, as behind a gateway that drops the headers: the keys decide.
        (an_account(named=""), an_account(), False),
        (an_account(), an_account(named=""), False),
        (an_account(named=""), an_account(named=""), False),
        (an_account(named="", key=OTHER_KEY), an_account(), True),
        (an_account(key=OTHER_KEY), an_account(named=""), True),
        (an_account(named="", key=OTHER_KEY), an_account(named=""), True),
        # A credential that changes by itself has no fingerprint: then there is nothing to compare.
        (an_account(named="", key=""), an_account(), False),
        (an_account(key=""), an_account(named=""), False),
        (an_account(named="", key=""), an_account(named="", key=""), False),
    ],
)
def test_whether_a_create_was_made_with_another_account(there: Account, here: Account, *, expected: bool) -> None:
    assert is_other(there.stored(), here) is expected


@pytest.mark.parametrize(
    ("stored", "here", "expected"),
    [
        ("", an_account(), False),
        (f"{URL} {NAMED}", an_account(), False),
        (f"{URL} {OTHERS}", an_account(), True),
        (f"{URL}", an_account(), False),
        (f"{URL} {NAMED}", an_account(named=""), False),
        (f"default {NAMED}", an_account(), True),
    ],
)
def test_what_an_older_version_stored_is_compared_as_far_as_it_goes(
    stored: str, here: Account, *, expected: bool
) -> None:
    assert is_other(stored, here) is expected


@pytest.mark.parametrize(
    ("there", "here", "expected"),
    [
        (an_account(named=""), an_account(named=""), False),
        (an_account(named="", key=OTHER_KEY), an_account(named=""), True),
        (an_account(named="", key=OTHER_KEY), an_account(), True),
        (an_account(key=OTHER_KEY), an_account(named=""), True),
        # More than the key speaks for another account.
        (an_account(GATEWAY, "", OTHER_KEY), an_account(named=""), False),
        (an_account(named=OTHERS, key=OTHER_KEY), an_account(), False),
        # Nothing does: one account may have several keys.
        (an_account(key=OTHER_KEY), an_account(), False),
        (an_account(named="", key=""), an_account(), False),
    ],
)
def test_whether_nothing_but_the_key_speaks_for_another_account(
    there: Account, here: Account, *, expected: bool
) -> None:
    assert is_other_key(there.stored(), here) is expected


@pytest.mark.parametrize(
    ("stored", "here", "expected"),
    [
        (an_account().stored(), an_account(), True),
        (an_account().stored(), an_account(key=OTHER_KEY), True),
        (an_account(named="").stored(), an_account(), True),
        (an_account().stored(), an_account(named=""), True),
        (an_account(named="org_1", key="").stored(), an_account(), False),
        (an_account(named="org_1", key="").stored(), an_account(named="org_1", key=""), False),
        (an_account(named="org_1", key=OTHER_KEY).stored(), an_account(named="org_1"), False),
        (an_account(named="org_1").stored(), an_account(named="org_1"), True),
        (an_account(named="", key=OTHER_KEY).stored(), an_account(), False),
        (an_account(named="", key="").stored(), an_account(), False),
        (an_account(named="", key="").stored(), an_account(named="", key=""), False),
        (an_account(named=OTHERS).stored(), an_account(), False),
        (an_account(GATEWAY).stored(), an_account(), False),
        ("", an_account(), False),
    ],
)
def test_whether_a_create_was_certainly_made_with_this_account(stored: str, here: Account, *, expected: bool) -> None:
    assert is_same(stored, here) is expected
