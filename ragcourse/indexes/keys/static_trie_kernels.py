"""The loops of ``StaticTrie``, compiled. The symbols are those of its table.

``start`` (n + 1,) int64 says where each word of ``data`` begins, and the last ends; ``order`` (n,) int64
are the words' numbers in sorted order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragcourse.compiled import kernel

Letters = NDArray[np.uint8]
Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

END_OF_WORD, END_OF_GROUP = 0, 255
NOWHERE = -(2**31)  # the leaf of no word: there are fewer
_ABREAST = 64


@kernel
def find(
    label: Letters,
    first: Slots,
    tail_start: Slots,
    tails: Letters,
    data: Letters,
    start: Ints,
    found: Ints,
) -> int:
    """For each word of a batch the number of the equal one in the trie, or -1, into ``found`` (n,).

    _ABREAST words walk down together, a letter each in turn. A step waits for memory most of its time;
    this way many waits overlap. Returned is a sum without meaning, so that no read is optimized away.
    """
    at, walking = np.empty(_ABREAST, np.int64), np.empty(_ABREAST, np.int64)  # slot and word of each
    used = np.empty(len(found), np.int64)
    nowhere, touched = len(label) - 1, 0
    for block in range(0, len(found), _ABREAST):
        count, depth = min(_ABREAST, len(found) - block), 0
        for walker in range(count):
            at[walker], walking[walker] = 0, block + walker
        while count:
            for walker in range(count):  # among the siblings, find the next letter
                word, slot = walking[walker], at[walker]
                place = start[word] + depth
                letter = data[place] if place < start[word + 1] else END_OF_WORD
                while label[slot] < letter:
                    slot += 1
                at[walker] = slot if label[slot] == letter else nowhere
            for walker in range(count):  # go to its children
                at[walker] = first[at[walker]]
            depth += 1
            still = 0
            for walker in range(count):  # who has come to a leaf, or nowhere, walks no more
                word = walking[walker]
                if at[walker] < 0:
                    found[word], used[word] = -1 - at[walker], min(depth, start[word + 1] - start[word])
                else:
                    at[still], walking[still] = at[walker], word
                    still += 1
            count = still
            for walker in range(count):  # have the next labels fetched, all at once
                touched += label[at[walker]]
    for word in range(len(found)):
        number, place = found[word], start[word] + used[word]
        found[word] = -1
        if number < len(tail_start) - 1:
            tail, length = tail_start[number], tail_start[number + 1] - tail_start[number]
            if start[word + 1] - place == length:
                same = 0
                while same < length and tails[tail + same] == data[place + same]:
                    same += 1
                if same == length:
                    found[word] = number
    return touched


@kernel
def shared(data: Letters, start: Ints, order: Ints) -> Ints:
    """How many letters each word, in sorted order, shares with the one before it (n + 1,); -1 if all."""
    alike = np.zeros(len(order) + 1, np.int64)
    for rank in range(len(order) - 1):
        one, other = order[rank], order[rank + 1]
        length = min(start[one + 1] - start[one], start[other + 1] - start[other])
        same = 0
        while same < length and data[start[one] + same] == data[start[other] + same]:
            same += 1
        longest = max(start[one + 1] - start[one], start[other + 1] - start[other])
        alike[rank + 1] = same if same < longest else -1
    return alike


@kernel
def lay_out(data: Letters, start: Ints, order: Ints, alike: Ints) -> tuple[Letters, Slots, Ints]:
    """The arrays ``label`` and ``first``, and how many letters of each word they have used up (n,).

    A group of siblings is a run of sorted words that share ``depth`` letters: its nodes are their next
    letters. The queue holds the runs whose groups are still to be laid out, level by level.
    """
    words = len(order)
    nodes = 0
    for rank in range(words):
        nodes += max(alike[rank], alike[rank + 1]) + 1 - alike[rank]
    groups = nodes - words + 1
    label = np.empty(nodes + groups, np.uint8)
    first = np.zeros(nodes + groups, np.int32)
    used = np.zeros(words, np.int64)
    queue = np.empty((groups, 4), np.int64)  # begin and end of the run, depth, slot of the parent
    queue[0] = 0, words, 0, -1
    slot, waiting = 0, 1
    for group in range(groups):
        begin, end, depth, parent = queue[group]
        if parent >= 0:
            first[parent] = slot
        while begin < end:
            word = order[begin]
            stop = begin + 1
            while stop < end and alike[stop] > depth:
                stop += 1
            ends = start[word] + depth == start[word + 1]
            label[slot] = END_OF_WORD if ends else data[start[word] + depth]
            if stop - begin == 1:
                first[slot] = -1 - word
                used[word] = depth if ends else depth + 1
            else:
                queue[waiting] = begin, stop, depth + 1, slot
                waiting += 1
            begin = stop
            slot += 1
        label[slot], first[slot] = END_OF_GROUP, NOWHERE
        slot += 1
    return label, first, used


@kernel
def copy_tails(data: Letters, start: Ints, used: Ints, tail_start: Slots, tails: Letters) -> None:
    """What each word has left, one after the other, into ``tails``."""
    for word in range(len(used)):
        rest = start[word] + used[word]
        for place in range(tail_start[word + 1] - tail_start[word]):
            tails[tail_start[word] + place] = data[rest + place]
