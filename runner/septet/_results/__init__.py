"""Results of a finished run as values: tables, figures and the verdict."""
