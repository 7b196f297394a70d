"""SAP's messages on the wire: which there are, how they bind to values and back. Knows nothing of the domain."""
