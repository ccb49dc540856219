"""Values and events as a person and a program see them; stdout is data, stderr is everything else.

A report has one file with all of its forms: `draw` makes what a terminal shows, which in a pipe is the same in plain text
(`ReportWriter` leaves out colours, padding and wrapping), and `to_json` makes what `--json` writes.
"""
