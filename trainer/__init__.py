"""From corpus to weights: packed fine-tuning with an assistant-only loss. Not part of this release: nothing is here yet."""
