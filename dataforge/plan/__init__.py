"""Domain → plan: the nodes of a graph linked into a DAG, its walks counted and drawn, and the plan document."""
