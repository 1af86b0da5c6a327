"""What is heavy or swappable: models, training, measuring, corpora. Torch and transformers live here."""
