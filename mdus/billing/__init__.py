"""Billing determinants from final interval values: totals, time of use, demand. Pure: numpy, exact whole numbers."""
