"""Did the data cause it, is it fixed, and what else changed? Pure functions of stored evidence."""
