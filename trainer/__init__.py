"""A compact trainer: a corpus in, weights out, every trained token accounted for.

    corpus → conversations → samples → bins → batches → steps → checkpoints → weights

`masks` renders a conversation through a chat template and marks the tokens that the loss sees. `pack` puts samples into
bins. `data` keeps the packed set on disk and deals it out in a fixed order. `attention` keeps documents apart, `loss`
never holds all logits, `model` and `parallel` prepare the weights, `train` is the loop, `checkpoint` what survives it.
`plan` computes memory and time on paper. The command line is `dataforge pack` and `dataforge train`.
"""
