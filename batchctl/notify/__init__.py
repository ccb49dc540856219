"""Notifications: a command or a URL is told when a job has ended or needs a person.

`rules` decides what is told and when it is tried again, `message` writes the JSON object, `signing` signs it. `targets` checks
and keeps targets. `command`, `webhook` and `services` deliver to one target each.
"""
