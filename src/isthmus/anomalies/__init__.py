"""Anomalies: what does not belong, how sure that is, and why."""
