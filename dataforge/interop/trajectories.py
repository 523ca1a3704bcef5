"""The state behind the trajectory API of Atropos: environments put scored groups in, a trainer takes batches out.

It knows neither HTTP nor models. Groups are kept as the JSON that they are sent in, a tenth of the memory that lists of
integers take, and everything is bounded: by groups and by bytes. What does not fit is refused at the door (`Full`) or
waited for (`room`), never dropped.

    register ──► batch ──► batch …          a trainer
    register_env ──► add ──► add …          environments, and the one of this process

What differs from Atropos' own server: a batch is made when it is asked for, not all that the queue holds at once, so the
step counts batches that were really fetched and groups wait in the queue, where environments see them; batches go out
oldest first; and a mixture of group sizes is packed exactly, see `batching`.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from dataforge.interop.batching import Piece, batch, exactly
from dataforge.interop.groups import ScoredGroup

AT_FIRST = 16
"""Groups that this process makes before a trainer says how large its batches are: they are stale by the time it comes to them."""
OWN = 0
"""The number of the environment of this process."""
MOST_RESPONSES = 65_536
"""No batch has more: it must be held whole."""
LEAST_WEIGHT = 0.01
"""An environment is never told to stop altogether, however little its weight."""


class Registration(BaseModel):
    """What a trainer says of itself."""

    wandb_group: str
    wandb_project: str
    batch_size: int = Field(gt=0, le=MOST_RESPONSES)
    max_token_len: int
    checkpoint_dir: str
    save_checkpoint_interval: int
    starting_step: int
    num_steps: int


class EnvRegistration(BaseModel):
    """What an environment says of itself."""

    max_token_length: int
    desired_name: str
    weight: float
    group_size: int = Field(gt=0)
    min_batch_allocation: float | None = Field(default=None, ge=0, le=1)


@dataclass(slots=True)
class Environment:
    """An environment that sends groups."""

    told: EnvRegistration
    name: str
    group_size: int
    connected: bool = True

    @property
    def pull(self) -> float:
        """How much it counts for among the environments."""
        return self.told.max_token_length * max(0.0, self.told.weight)


@dataclass(frozen=True, slots=True)
class Queued:
    """A group that waits, as JSON."""

    line: bytes
    size: int
    longest: int
    env_id: int | None

    @classmethod
    def of(cls, group: ScoredGroup) -> Queued:
        return cls(group.line(), group.size, group.longest, group.env_id)


class Full(Exception):
    """There is no room; whoever sends should come again later."""


class TooLarge(Exception):
    """What is sent will never fit."""


class UnknownEnvironment(Exception):
    """There is no environment with this number."""


@dataclass
class Trajectories:
    """The queue, and who is connected.

    Attributes:
        max_groups, max_bytes: bounds of all that waits.
        own: the environment of this process, or None: it is number 0 from the moment a trainer registers.
        ahead: how many batches' worth of its own groups this process may have waiting, so that they do not grow stale.
        dropped: groups that were taken and then left out, by reason.
    """

    max_groups: int = 256
    max_bytes: int = 512 * 1024 * 1024
    own: EnvRegistration | None = None
    ahead: float = 2.0
    trainer: Registration | None = None
    started: bool = False
    step: int = 0
    trainers: int = 0
    batches: int = 0
    latest: Queued | None = None
    environments: list[Environment] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    _waiting: OrderedDict[int, Queued] = field(default_factory=OrderedDict)
    _parts: dict[int, list[Queued]] = field(default_factory=dict)
    """Groups of an environment that are smaller than it promised, until some make a whole one."""
    _bytes: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    # ---- a trainer's side

    def register(self, told: Registration) -> int:
        """Take a trainer in; the first one's word counts until everything is reset. Returns its number."""
        self.trainers += 1
        if self.trainer is None:
            self.trainer = told
            self.step = told.starting_step
            # A batch must fit, however small the groups that it is made of.
            self.max_groups = max(self.max_groups, told.batch_size)
            if self.own is not None:
                self.environments.append(_environment(self.own, self.environments))
                for number, queued in list(self._waiting.items()):
                    if self.is_too_long(queued.longest):
                        self._take(number)
                        self.dropped["too long"] += 1
            self._room.set()  # how much is wanted is known only now
        return uuid.uuid4().int

    def batch(self) -> Sequence[Queued] | None:
        """The next batch, or None where there is none yet. The first call says that the trainer has begun.

        Raises:
            LookupError: no trainer is registered.
        """
        if self.trainer is None:
            raise LookupError
        self.started = True
        numbers = list(self._waiting)
        queue = [Piece(q.size, q.env_id) for q in self._waiting.values()]
        shares = {
            number: env.told.min_batch_allocation
            for number, env in enumerate(self.environments)
            if env.connected and env.told.min_batch_allocation
        }
        places = batch(queue, self.trainer.batch_size, shares)
        if places is None:
            return None
        self.step += 1
        self.batches += 1
        return [self._take(numbers[place]) for place in places]

    def is_too_long(self, tokens: int) -> bool:
        """Whether the trainer could not take a response of so many tokens."""
        most = self.trainer.max_token_len if self.trainer is not None else 0
        return 0 < most <= tokens

    # ---- the environments' side

    def register_env(self, told: EnvRegistration) -> tuple[int, Environment] | None:
        """Take an environment in; None until the trainer has begun."""
        if self.trainer is None or not self.started:
            return None
        made = _environment(told, self.environments)
        self.environments.append(made)
        return len(self.environments) - 1, made

    def environment(self, number: int) -> Environment:
        """An environment by its number.

        Raises:
            UnknownEnvironment: there is none.
        """
        if not 0 <= number < len(self.environments):
            raise UnknownEnvironment(number)
        return self.environments[number]

    def disconnect(self, number: int) -> None:
        """An environment leaves: what it sent stays, and no batch waits for it any more.

        Raises:
            UnknownEnvironment: there is none.
        """
        self.environment(number).connected = False

    def add(self, groups: Sequence[Queued]) -> list[int | None]:
        """Take groups in, all of them or none.

        Returns:
            For each group None where it is in the queue, else how many responses wait until they make a whole group.

        Raises:
            Full: there is no room now.
            TooLarge: there never will be, or a group has more responses than its environment said.
        """
        bytes_ = sum(len(group.line) for group in groups)
        if len(groups) > self.max_groups or bytes_ > self.max_bytes:
            raise TooLarge("this is more than the queue may ever hold; send less at once")
        for group in groups:
            if (known := self._env(group)) is not None and group.size > known.group_size:
                raise TooLarge(
                    f"a group has {group.size} responses, and its environment registered groups of {known.group_size}"
                )
        if not self._fits(len(groups), bytes_):
            raise Full
        parts = [g for g in groups if (known := self._env(g)) is not None and g.size < known.group_size]
        if parts and sum(map(len, self._parts.values())) + len(parts) > max(1, self.max_groups // 2):
            raise Full  # groups whose sizes never add up must not take the room of all others
        return [self._put(group) for group in groups]

    async def add_own(self, group: Queued) -> None:
        """Take a group of this process in, as soon as there is room."""
        while not self._fits(1, len(group.line)):
            await self._change()
        self._put(group)

    async def room(self) -> None:
        """Wait until this process should make another group."""
        while not self.wants_more:
            await self._change()

    @property
    def wants_more(self) -> bool:
        """Whether there is room, and not enough made ahead yet."""
        if not self._fits(1, 0):
            return False
        if self.own is None:
            return True
        if self.trainer is None:
            return self.held < AT_FIRST
        waiting = sum(queued.size for queued in self._waiting.values() if queued.env_id == OWN)
        return waiting < self.ahead * self.trainer.batch_size

    @property
    def is_full(self) -> bool:
        return not self._fits(1, 0)

    async def _change(self) -> None:
        self._room.clear()
        await self._room.wait()

    def reset(self) -> None:
        """Forget everything, trainer and environments too."""
        self.trainer, self.started, self.step, self.trainers, self.batches = None, False, 0, 0, 0
        self.latest = None
        self.environments.clear()
        self.dropped.clear()
        self._waiting.clear()
        self._parts.clear()
        self._bytes = 0
        self._room.set()

    # ---- what can be seen of it

    @property
    def held(self) -> int:
        """Groups that wait, in parts or whole."""
        return len(self._waiting) + sum(map(len, self._parts.values()))

    @property
    def held_bytes(self) -> int:
        return self._bytes

    @property
    def queue_size(self) -> int:
        """Groups in the queue."""
        return len(self._waiting)

    def env_status(self, number: int) -> dict[str, Any]:
        """What an environment is told, to pace itself by.

        Raises:
            UnknownEnvironment: there is none.
        """
        env = self.environment(number)
        connected = [each for each in self.environments if each.connected]
        pull = sum(each.pull for each in connected)
        responses: Counter[int | None] = Counter()
        largest = 1
        for queued in self._waiting.values():
            responses[queued.env_id] += queued.size
            largest = max(largest, queued.size)
        mine = responses.pop(number, 0)
        batch_size = self.trainer.batch_size if self.trainer is not None else 0
        shares: dict[int | None, float | None] = {
            n: each.told.min_batch_allocation for n, each in enumerate(self.environments)
        }
        of_others = 0
        if largest > 1:
            for other, count in responses.items():
                share = shares.get(other)
                promised = int(batch_size * share) if share else 0
                of_others += max(0, math.ceil(count / largest) * largest - promised)
        promised_share = sum(each.told.min_batch_allocation or 0.0 for each in connected)
        return {
            "current_step": self.step,
            "queue_size": (mine + of_others) // env.group_size,
            "unallocated_fraction": 1.0 - min(promised_share, 1.0),
            "self_queue_size": mine // env.group_size,
            "max_group_size": largest,
            "env_weight": max(LEAST_WEIGHT, env.pull / pull if pull > 0 else 0.0),
        }

    # ---- inside

    def _env(self, group: Queued) -> Environment | None:
        known = group.env_id is not None and 0 <= group.env_id < len(self.environments)
        return self.environments[group.env_id or 0] if known else None

    def _fits(self, groups: int, bytes_: int) -> bool:
        # A group that is larger than the bound alone may wait by itself: it would never come through otherwise.
        return self.held + groups <= self.max_groups and (
            self._bytes + bytes_ <= self.max_bytes or not self.held
        )

    def _put(self, group: Queued) -> int | None:
        self._bytes += len(group.line)
        env = self._env(group)
        if env is None or group.env_id is None or group.size == env.group_size:
            self._queue(group)
            return None
        parts = self._parts.setdefault(group.env_id, [])
        parts.append(group)
        places = exactly([part.size for part in parts], env.group_size)
        for place in places or ():
            self._queue(parts[place])
        self._parts[group.env_id] = [p for n, p in enumerate(parts) if n not in set(places or ())]
        return sum(part.size for part in self._parts[group.env_id])

    def _queue(self, group: Queued) -> None:
        self._waiting[next(self._numbers)] = self.latest = group

    def _take(self, number: int) -> Queued:
        group = self._waiting.pop(number)
        self._bytes -= len(group.line)
        self._room.set()
        return group


def _environment(told: EnvRegistration, there: Sequence[Environment]) -> Environment:
    alike = sum(each.told.desired_name == told.desired_name for each in there)
    return Environment(told, f"{told.desired_name}_{alike}", told.group_size)
