"""What all simulated head ends share: the meters behind them, what happens to them, and how it is told and journalled.

A kind of head end is a thin face on this (`face`): its protocol, the form of what it tells, its faults. Read in this
order: `meters`, `intervals` and `events` (what is in the field), `network`, `concentrators` and `absences` (what lies
between), `faults` (how it misbehaves), `jobs`, `field` and `dues` (orders, their execution, and when they end),
`journal` and `state` (what survives a kill), `headend` (the loop), `collecting` and `happenings` (what is told by
itself), `deliveries` (tellings), `times` (clocks they are written by), `face`, `control` (the API of tests), `process`
(the command line). How to write a face: `docs/head_ends/simulators.md`.
"""
