"""The REST side: what MDUS knows, to be read by people and programs under /api/v1."""
