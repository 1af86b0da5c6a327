"""The arms: what each retraining reads in the place of the attributed documents."""
