"""The other side of every wire MDUS speaks, each as its own process.

Written from the specifications alone: nothing here is imported from `mdus`, so no misreading is shared.
"""
