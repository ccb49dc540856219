"""Delivers to the services that apprise knows: mail, chat, desktop. Importing this module imports apprise (1.2 s)."""

import logging

import apprise

from batchctl.notify.attempt import DELIVERED, Attempt, within

# A mail server may take longer than a webhook.
TIME_LIMIT = 30.0
# Its log holds URLs, and so tokens.
logging.getLogger("apprise").disabled = True


def is_known(url: str) -> bool:
    """Return whether apprise can deliver to a URL; nothing is sent."""
    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None
    except Exception:  # noqa: BLE001 - a plugin from outside; its text may hold the URL
        return False


def send(url: str, title: str, text: str, seconds: float = TIME_LIMIT) -> Attempt:
    """Send a text to a URL, and return what came of it. Why it failed is known to apprise alone."""
    return within(seconds, lambda: _send(url, title, text))


def _send(url: str, title: str, text: str) -> Attempt:
    try:
        service = apprise.Apprise()
        if not service.add(url):
            return Attempt(why="apprise knows no such service", is_final=True)
        is_sent = service.notify(body=text, title=title)
    except Exception as error:  # noqa: BLE001 - as above
        return Attempt(why=f"apprise failed: {type(error).__name__}")
    return DELIVERED if is_sent else Attempt(why="apprise could not deliver it")
