"""A modern head end with a JSON API, by `docs/head_ends/rest.md`, and the meters behind it.

Read in this order: `meters` (what is in the field), `faults` (how it misbehaves), `journal` (what survives a kill),
`headend` (jobs, their execution, the daily collection), `deliveries` (pushes), `api` and `control` (HTTP), `__main__`.
"""
