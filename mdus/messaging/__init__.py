"""The life of a message: its states, the five exchange patterns, outcomes of decisions, and retry."""
