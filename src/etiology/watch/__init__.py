"""Does it come back? A later model is measured as the study's models were, and a gate compares."""
