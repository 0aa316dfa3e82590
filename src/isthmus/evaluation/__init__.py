"""Metrics, the baseline everybody should compare with, and the report."""

from isthmus.evaluation.neighbourhood_preservation import continuity, neighbourhood_scores, trustworthiness
from isthmus.evaluation.representation import evaluate_representation

__all__ = ["continuity", "evaluate_representation", "neighbourhood_scores", "trustworthiness"]
