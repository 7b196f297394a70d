"""A modern head end with a JSON API, by `docs/head_ends/rest.md`, and the meters behind it.

Read in this order: `meters`, `intervals` and `events` (what is in the field), `faults` (how it misbehaves), `journal`
and `state` (what survives a kill), `headend` (jobs and their execution), `collecting` and `happenings` (what it tells
by itself), `deliveries` (pushes), `api` and `control` (HTTP), `__main__`.
"""
