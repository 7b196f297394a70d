"""What MDUS tells of itself while it runs: structured log lines and metrics."""
