"""What the verifiers of short answers share: where an answer is stated, and when two texts are the same.

`asserted` tells whether a statement is meant, `finals` finds the final answer of a free text, `choices` the one of the
`options` that a text chooses (`named` lists those that it names, by the words in `choice_patterns`), `blocks` its code;
`normal`, `similarity`, `numbers` and `snippets` compare. `questions` makes tasks, the files in `_cases` generate cases.
"""
