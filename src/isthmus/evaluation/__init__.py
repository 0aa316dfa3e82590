"""Metrics, the baseline everybody should compare with, and the report."""
