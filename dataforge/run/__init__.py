"""Plan to corpus: the engine that walks seeds through a plan, and the journal that makes it lose nothing."""
