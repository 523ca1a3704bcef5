"""The language server: what an editor asks about `.forge` files, answered while they are being written.

Text comes in through `events` and questions through `requests`; with `protocol` and `serve` they are all that knows the
wire. `workspace` holds what is open, and `analysis` is the compiler run on it in a thread of its own, when `schedule`
says so. Whatever a request needs at once is read off the current text by `roles`, which understands broken text too;
names are looked up in the last analysis that knew them. Each feature is one file: `hover`, `completion`, `definitions`,
`actions`, `hints`, `symbols`.
"""
