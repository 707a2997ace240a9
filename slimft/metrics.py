"""`slimft.tasks.classification_scores` by its documented path."""

from slimft.tasks.classification_scores import Predictions as Predictions
