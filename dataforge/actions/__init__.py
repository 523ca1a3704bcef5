"""Run one node: one file a kind of step, each with `perform(step, draft, context)`; `node.run_node` puts them together."""
