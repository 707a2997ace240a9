"""What the networks that can end at an end point have in common."""


def check_no_logits(final_endpoint, num_classes):
    """Raises ValueError if a network is to end at an end point, and to have logits all the same.

    Args:
        final_endpoint: the end point that is to be the last; None for the whole network.
        num_classes: number of classes; 0 or None for no logits.
    """
    if final_endpoint is not None and num_classes:
        raise ValueError(
            f"final_endpoint={final_endpoint!r} leaves out the logits; num_classes={num_classes} has to be None"
        )
