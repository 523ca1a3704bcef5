"""Drawings of a linked graph: `drawing` says what there is to draw, each file of `formats` how, `why` what explains it."""
