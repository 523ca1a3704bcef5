"""Tool use: the forms in which models write calls, when two calls are equal, and tools that really run.

    text ──forms──► calls ──equality──► the same as expected?
                      └───episode──► tool messages ──replayed──► did the tools say that?

`forms` reads calls by scanners that know quotes and braces, `writing` is its inverse, `equality` compares calls as typed
JSON under the tool's schema. `tools/` holds tools that are run; `episode` drives a conversation with them, and
runs the calls of a transcript again; `answers` reads the last reply. `catalogue/` holds tools that are only described, to make tasks of.
"""
