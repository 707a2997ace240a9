"""What is known of the networks from elsewhere: a file a family, each with its `NETWORKS`."""
