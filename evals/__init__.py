"""From weights to scores: evaluations over one OpenAI-compatible endpoint. Not part of this release: nothing is here yet."""
