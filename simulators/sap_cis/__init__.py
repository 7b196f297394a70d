"""A simulated SAP for Utilities: it orders like a customer's system, keeps its view, and judges every answer.

Written from the description of the contract alone; nothing of MDUS is imported, so that a misreading there is not
repeated here. From the wire inwards: `receiving` (spyne carries, HTTP), `judge` and `checks` (what may be said when),
`view` (what SAP believes), `journal` (what survives), and outwards `business` (what is wanted), `building` (zeep's
arguments), `sending` (at least once). `cis` joins them, `control` is the JSON API a landscape steers it with.
"""
