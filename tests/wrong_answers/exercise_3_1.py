"""Exercise 3.1, ``remove`` of a trie: the solution, and wrong answers with what their check must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

END = ""


class Trie:
    """As the lesson has it."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}

    def add(self, word: str, value: int) -> None:
        node = self.root
        for letter in word:
            node = node.setdefault(letter, {})
        node.setdefault(END, []).append(value)

    def get(self, word: str) -> list[int]:
        node = self.root
        for letter in word:
            if letter not in node:
                return []
            node = node[letter]
        return list(node.get(END, []))

    def path(self, word: str) -> list[dict[str, Any]]:
        nodes = [self.root]
        for letter in word:
            if letter not in nodes[-1]:
                raise KeyError(word)
            nodes.append(nodes[-1][letter])
        return nodes


class Right(Trie):
    """The solution of the lesson; the wrong answers replace one part of it."""

    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        if value not in path[-1].get(END, []):
            raise KeyError(word)
        path[-1][END].remove(value)
        if not path[-1][END]:
            del path[-1][END]
        self.prune(path, word)

    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        for parent, letter, node in zip(reversed(path[:-1]), reversed(word), reversed(path[1:]), strict=True):
            if node:
                return
            del parent[letter]


right = Right


class stub(Trie):
    def remove(self, word: str, value: int) -> None:
        raise NotImplementedError("Exercise 3.1: remove one value, then prune")


class _NeverPrunes(Right):
    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        pass


class _PrunesOneNode(Right):
    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        if len(path) > 1 and not path[-1]:
            del path[-2][word[-1]]


class _CutsTheWholePath(Right):
    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        if word:
            self.root.pop(word[0], None)


class _CutsBelow(Right):
    """Takes the node away although longer words go on from it."""

    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        if len(path) > 1:
            del path[-2][word[-1]]


class _ForgetsShorterWords(Right):
    """Looks at the branches alone, not at the end of a word."""

    def prune(self, path: list[dict[str, Any]], word: str) -> None:
        for parent, letter, node in zip(reversed(path[:-1]), reversed(word), reversed(path[1:]), strict=True):
            if [key for key in node if key != END]:
                return
            del parent[letter]


class _RemovesAllValues(Right):
    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        if value not in path[-1].get(END, []):
            raise KeyError(word)
        del path[-1][END]
        self.prune(path, word)


class _RemovesEqualValues(Right):
    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        if value not in path[-1].get(END, []):
            raise KeyError(word)
        path[-1][END] = [other for other in path[-1][END] if other != value]
        if not path[-1][END]:
            del path[-1][END]
        self.prune(path, word)


class _KeepsAnEmptyList(Right):
    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        if value not in path[-1].get(END, []):
            raise KeyError(word)
        path[-1][END].remove(value)
        self.prune(path, word)


class _SilentWhenUnknown(Right):
    def remove(self, word: str, value: int) -> None:
        if value in self.get(word):
            super().remove(word, value)


class _ValueErrorOfTheList(Right):
    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        path[-1].get(END, []).remove(value)
        if not path[-1].get(END):
            path[-1].pop(END, None)
        self.prune(path, word)


class _SpeltWrong(Right):
    def remove(self, word: str, value: int) -> None:
        path = self.path(word)
        if value not in path[-1].get(THE_END, []):  # type: ignore[name-defined]  # noqa: F821
            raise KeyError(word)


class _MakesTheWay(Right):
    """Walks with ``setdefault``, so that a look for an unknown word leaves its letters behind."""

    def path(self, word: str) -> list[dict[str, Any]]:
        nodes = [self.root]
        for letter in word:
            nodes.append(nodes[-1].setdefault(letter, {}))
        return nodes


class _CallsItself(Right):
    """The reference practice's way."""

    def remove(self, word: str, value: int) -> None:
        if value not in self.get(word):
            raise KeyError(word)
        self._below(self.root, word, 0, value)

    def _below(self, node: dict[str, Any], word: str, at: int, value: int) -> bool:
        if at == len(word):
            node[END].remove(value)
            if not node[END]:
                del node[END]
        elif self._below(node[word[at]], word, at + 1, value):
            del node[word[at]]
        return not node


WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "a name spelt wrong": (_SpeltWrong, "is the name spelt as where it is defined"),
    "never prunes": (_NeverPrunes, "cut from the end of the word upwards"),
    "prunes one node": (_PrunesOneNode, "cut from the end of the word upwards"),
    "cuts the whole path": (_CutsTheWholePath, "still on the way to longer words"),
    "cuts what is below": (_CutsBelow, "still on the way to longer words"),
    "forgets shorter words": (_ForgetsShorterWords, "where another word ends"),
    "removes all values": (_RemovesAllValues, "take this one value off the list"),
    "removes all equal values": (_RemovesEqualValues, "of equal values the first goes"),
    "keeps an empty list": (_KeepsAnEmptyList, "an empty list of values, too"),
    "silent when unknown": (_SilentWhenUnknown, "raise KeyError(word)"),
    "list.remove's ValueError": (_ValueErrorOfTheList, "raise KeyError(word)"),
    "makes the way it looks for": (_MakesTheWay, "look first, change afterwards"),
    "calls itself": (_CallsItself, "keep the nodes of the path in a list"),
}
