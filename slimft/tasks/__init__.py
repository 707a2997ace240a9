"""What a network is trained for: its figures, targets, loss, predictions and scores."""
