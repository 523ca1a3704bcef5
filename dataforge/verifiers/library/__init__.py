"""One file a verifier; a file whose name begins with an underscore is none. See `dataforge.verifiers.registry`."""
