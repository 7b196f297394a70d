"""Validation, estimation and editing of interval values: pure, in numpy, over days of many channels at once."""
