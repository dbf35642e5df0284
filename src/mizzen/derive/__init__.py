"""Queries from configuration to the model. Pure: a query sees its arguments and the database, nothing else."""
