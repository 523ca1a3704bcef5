"""What the backend `openai_batch` is made of.

    lines    a request as a line of a batch's input; a line of its output as a reply or an error
    store    what is remembered of a batch across starts
    api      the Files and Batches API over HTTP
    life     one batch, from its upload to its last line

The backend itself, which gathers calls into batches and answers them, is in `dataforge.models.openai_batch`.
"""
