"""MDUS: Meter Data Unification & Synchronization between SAP for Utilities and advanced metering systems."""

__version__ = "0.1.0"
