"""Run folders and the Parquet store."""
