"""Notifications: a command is run, or a URL is posted to, when a job has ended or needs a person.

`rules` decides when a target is notified, and when again, `message` writes the JSON object, `signing` signs it. `targets` checks
and keeps targets. `command`, `webhook` and `services` deliver to one target each.
"""
