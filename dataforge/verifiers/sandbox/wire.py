"""What the grader's process and the zygote say to each other: JSON in packets over a socket pair, with descriptors.

Both ends are ours. Nothing of a program, its input or its output passes here: that goes by descriptors which the zygote
hands on unread, so that its memory, of which every program is a copy, holds nothing of the programs before.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

PACKET = 1 << 17
DESCRIPTORS = 8


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(end: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    rights = (
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]
        if descriptors
        else []
    )
    end.sendmsg([json.dumps(message).encode()], rights)


def receive(end: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and its descriptors, which are not inherited.

    Raises:
        EOFError: the other end is gone.
    """
    room = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
    body, ancillary, _, _ = end.recvmsg(PACKET, room, socket.MSG_CMSG_CLOEXEC)
    if not body:
        raise EOFError
    descriptors = array.array("i")
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    message = json.loads(body)
    assert isinstance(message, dict)
    return message, list(descriptors)
