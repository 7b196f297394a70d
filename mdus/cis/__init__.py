"""The client towards SAP: posts what the outbox holds."""
