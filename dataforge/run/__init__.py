"""Plan → corpus rows: rows walked through the graph, model calls journalled, outcomes recorded."""
