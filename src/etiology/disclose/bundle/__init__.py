"""What is published beside the report: safe to read, for machines, signed. Pure functions from findings to files."""
