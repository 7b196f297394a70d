"""A month of 2,000 meters whose true consumption is known: what validation and estimation are worth, in figures."""
