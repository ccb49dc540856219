"""The words of the program and the rules about them. Pure: no I/O, no clock, no random numbers, and nothing else imported.

Read first: `model` (job, round, batch, outcome), `states` (the life of a batch), `errors` (what ends a command),
`api_failures` (what follows from a failed request), `events` (what a command emits), `job_report` (what a person sees of a job).
"""
