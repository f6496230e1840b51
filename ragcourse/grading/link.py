"""Two processes that call each other over one socket: messages, their replies, and who handles what.

A call that is made while another one is being handled belongs to it: it goes to the thread that waits for
that other call's reply, so that re-entrant calls nest on both sides as they would in one process. Any other
call comes from a thread of its own and is handled by a thread of its own, its *lane*.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import struct
import threading
from dataclasses import dataclass

LIMIT = 64 * 2**20  # bytes of one message
MAX_WAITING = 1_000  # messages received and not yet handled
LANES = 64
SEND_SECONDS = 20  # a peer that reads nothing for so long is gone

CALL, REPLY, PRINT = 1, 2, 3
_HEAD = struct.Struct(">IBIII")  # bytes of the payload, kind, number, number of the outer call, lane


class Ended(BaseException):
    """The connection is over. No `Exception`: a contract must not take it for an error of the learner's."""


@dataclass(frozen=True)
class Message:
    """`number` identifies a call for its sender; `outer` is the receiver's own call it belongs to, or 0."""

    kind: int
    number: int
    outer: int
    lane: int
    payload: bytes


_Box = queue.SimpleQueue[Message | None]


class _Handling(threading.local):
    def __init__(self) -> None:
        self.numbers: list[int] = []


class Link:
    """One end. A subclass says what a call does (`serve`) and what is to be done with printed text."""

    def __init__(self, sock: socket.socket, limit: int = LIMIT) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        self.limit = limit
        self.main = 0  # a call of the other end that its main thread waits for; lane 0 goes there
        self.over = ""  # why the connection ended
        self._sock = sock
        self._sending, self._lock = threading.Lock(), threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Box] = {}
        self._workers: dict[int, _Box] = {}
        self._lanes: dict[threading.Thread, int] = {}
        self._handling = _Handling()
        self._held = self._held_bytes = 0

    # ---- for the two ends ----

    def serve(self, payload: bytes) -> bytes:
        """Do what a call asks for and return the payload of its reply; must not raise."""
        raise NotImplementedError

    def show(self, payload: bytes) -> None:
        """Take text that the other end printed."""

    def ended(self) -> None:
        """Called once, when the connection is over."""

    # ---- calling ----

    def request(self, payload: bytes) -> bytes:
        """Send a call and wait for its reply, handling meanwhile what belongs to it; Ended if none comes."""
        box: _Box = queue.SimpleQueue()
        with self._lock:
            if self.over:
                raise Ended(self.over)
            number = next(self._numbers)
            self._waiting[number] = box
        outer, lane = self.handled, 0
        if not outer:
            lane = self._lane()
            outer = 0 if lane else self.main
        self.send(Message(CALL, number, outer, lane, payload))
        while (message := box.get()) is not None:
            if message.kind == REPLY:
                return message.payload
            self._handle(message)
        raise Ended(self.over)

    @property
    def handled(self) -> int:
        """The number of the call that this thread is handling, or 0."""
        numbers = self._handling.numbers
        return numbers[-1] if numbers else 0

    def send(self, message: Message) -> None:
        """Write one message; Ended when the connection is over."""
        head = _HEAD.pack(len(message.payload), message.kind, message.number, message.outer, message.lane)
        try:
            with self._sending:
                self._sock.sendall(head + message.payload)
        except OSError:
            self.close("the connection to the other process broke")
            raise Ended(self.over) from None

    def _lane(self) -> int:
        """The lowest lane that no other living thread has; a thread keeps its own."""
        thread = threading.current_thread()
        with self._lock:
            if thread not in self._lanes:
                self._lanes = {other: lane for other, lane in self._lanes.items() if other.is_alive()}
                taken = set(self._lanes.values())
                self._lanes[thread] = next(lane for lane in itertools.count() if lane not in taken)
            return self._lanes[thread]

    # ---- being called ----

    def read(self) -> None:
        """Receive until the connection is over: the work of one thread."""
        try:
            while not self.over:
                self._received(self._next_message())
        except (OSError, EOFError):
            self.close("the process at the other end ended")
        except Ended as error:
            self.close(str(error))

    def _next_message(self) -> Message:
        size, kind, number, outer, lane = _HEAD.unpack(self._exactly(_HEAD.size))
        if size > self.limit:
            raise Ended(f"a message of {size} bytes was sent; {self.limit} are allowed")
        return Message(kind, number, outer, lane, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._sock.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _received(self, message: Message) -> None:
        if message.kind == REPLY:
            with self._lock:
                box = self._waiting.pop(message.number, None)
            if box is None:
                raise Ended(f"a reply to a call {message.number} that was never made")
            box.put(message)
            return
        if message.kind not in (CALL, PRINT):
            raise Ended(f"a message of the unknown kind {message.kind}")
        with self._lock:
            if message.kind == PRINT and message.outer not in self._waiting:
                return
            self._held += 1
            self._held_bytes += len(message.payload)
            if self._held > MAX_WAITING or self._held_bytes > 2 * LIMIT:
                raise Ended("more calls were sent than can be handled")
            box = self._waiting.get(message.outer) or self._worker(message.lane % LANES)
            box.put(message)

    def _worker(self, lane: int) -> _Box:
        if lane not in self._workers:
            self._workers[lane] = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self._workers[lane],), daemon=True).start()
        return self._workers[lane]

    def _work(self, box: _Box) -> None:
        while (message := box.get()) is not None:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if message.kind == PRINT:
            self.show(message.payload)
        else:
            self._handling.numbers.append(message.number)
            try:
                payload = self.serve(message.payload)
            finally:
                self._handling.numbers.pop()
        with self._lock:
            self._held -= 1
            self._held_bytes -= len(message.payload)
        if message.kind == CALL:
            try:
                self.send(Message(REPLY, message.number, 0, 0, payload))
            except Ended:
                return  # whoever waits for more will hear of it

    def close(self, reason: str) -> None:
        """End the connection; every waiting call raises Ended with the reason, once it has read its mail."""
        with self._lock:
            if self.over:
                return
            self.over = reason
            for box in [*self._waiting.values(), *self._workers.values()]:
                box.put(None)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.ended()
