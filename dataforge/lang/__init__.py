"""Text → syntax: the grammar, the parser, the syntax tree and the diagnostics of `.forge` files."""
