"""Which groups make a batch: the oldest ones whose sizes add up to exactly what a trainer asked for.

A trainer wants batches of a fixed number of responses, and groups cannot be cut. Sums that can be reached are bits of an
integer, so that the choice is exact for any mixture of sizes and takes one pass: a group is taken whenever the groups
behind it can fill the rest, which takes older ones first and never waits for a size that need not come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A group in the queue, as far as batches are concerned: how many responses, and of which environment."""

    size: int
    env_id: int | None = None


def exactly(sizes: Sequence[int], target: int) -> list[int] | None:
    """Places whose sizes add up to a target, the oldest possible ones, in order; None where no choice does."""
    if target <= 0 or sum(sizes) < target:
        return None
    within = (1 << (target + 1)) - 1
    reach = [1]
    """Bit s is set where some of the last groups, as many as the place in this list says, add up to s."""
    for size in reversed(sizes):
        reach.append((reach[-1] | reach[-1] << size) & within if 0 < size <= target else reach[-1])
    chosen, left = [], target
    for place, size in enumerate(sizes):
        behind = reach[len(sizes) - place - 1]
        if 0 < size <= left and behind >> (left - size) & 1:
            chosen.append(place)
            left -= size
            if left == 0:
                return chosen
    return None


def batch(queue: Sequence[Piece], target: int, shares: Mapping[int, float]) -> list[int] | None:
    """Places of the groups of the next batch, the oldest possible ones, in order; None where there is none yet.

    Args:
        queue: oldest first.
        target: how many responses a batch has.
        shares: environments that were promised a part of each batch → the part, from 0 to 1. A batch waits for them.
            Where together they were promised more than there is, each gets less in proportion.
    """
    needs = _needs(queue, target, shares)
    if needs is None or target <= 0:
        return None
    if not needs:
        return exactly([piece.size for piece in queue], target)
    within = (1 << (target + 1)) - 1
    owners = [piece.env_id if piece.env_id in needs else None for piece in queue]
    # Of each owner, and of all others as `None`: the sums that its groups behind a place can reach.
    behind: list[dict[int | None, int]] = [dict.fromkeys({*needs, None}, 1)]
    for piece, owner in zip(reversed(queue), reversed(owners), strict=True):
        reach = behind[-1][owner]
        more = (reach | reach << piece.size) & within if 0 < piece.size <= target else reach
        behind.append({**behind[-1], owner: more})
    behind.reverse()
    if not _can(behind[0], needs, target):
        return None
    chosen, left, lacking = [], target, dict(needs)
    for place, (piece, owner) in enumerate(zip(queue, owners, strict=True)):
        if not 0 < piece.size <= left:
            continue
        after = dict(lacking)
        if owner is not None:
            after[owner] = max(0, after[owner] - piece.size)
        if _can(behind[place + 1], after, left - piece.size):
            chosen.append(place)
            left, lacking = left - piece.size, after
            if left == 0:
                break
    return chosen


def _needs(queue: Sequence[Piece], target: int, shares: Mapping[int, float]) -> dict[int, int] | None:
    """How many responses each environment must have in a batch; None where one has not sent any.

    Groups cannot be cut: what was promised is rounded down to whole groups, but to one at the least.
    """
    wanted = {env: int(target * share) for env, share in shares.items()}
    wanted = {env: number for env, number in wanted.items() if number > 0}
    if (promised := sum(wanted.values())) > target:
        wanted = {env: number * target // promised for env, number in wanted.items()}
    least = {
        env: min((p.size for p in queue if p.env_id == env and 0 < p.size <= target), default=0)
        for env in wanted
    }
    if not all(least.values()):
        return None
    needs = {env: max(size, wanted[env] // size * size) for env, size in least.items()}
    while sum(needs.values()) > target:
        del needs[min(needs, key=lambda env: (wanted[env], -env))]  # there is not room for one group of each
    return needs


def _can(reach: Mapping[int | None, int], lacking: Mapping[int, int], left: int) -> bool:
    """Whether groups behind a place can make up the rest, with what each environment lacks among them."""
    sums = reach[None] & ((1 << (left + 1)) - 1)
    for env, lack in lacking.items():
        own = reach[env] >> lack << lack  # sums below what it lacks do not do
        made, at = 0, 0
        while own:
            step = (own & -own).bit_length() - 1
            at += step
            if at > left:
                break
            made |= sums << at
            own >>= step + 1
            at += 1
        sums = made & ((1 << (left + 1)) - 1)
        if not sums:
            return False
    return bool(sums >> left & 1)
