"""The whole landscape on one machine: SAP, MDUS, a head end and its meters as real processes on one steered clock.

`python -m simulators.landscape` plays three local days of a utility, one of them with a change to daylight saving, and
ends with a table per business process and the reconciliation SAP = MDUS = head end.
"""
