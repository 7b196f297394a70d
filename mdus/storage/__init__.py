"""Everything durable: one file per aggregate with its table and queries; session.py is the unit of work."""
