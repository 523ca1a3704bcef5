"""The corpus on disk: Parquet shards, the rejected rows, a dataset card and the manifest that makes it whole."""
