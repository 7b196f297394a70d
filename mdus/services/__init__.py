"""One file per enterprise service: what SAP says, what we do, what we answer. A file exposes SERVICE."""
