"""What a plugin in Python may do wrong, each by its name."""

import os
import random
import time

from folkmoot import Algorithm, Refusal, setting

kept = []


class Odd(Algorithm):
    """Does what it is told."""

    how: str = setting(help="What to do.")

    def aggregate(self, round, global_, updates, state):
        return getattr(self, self.how)(round, global_, updates, state) or global_

    def refuse(self, *given):
        raise Refusal("no `2` today")

    def crash(self, *given):
        return [][0]

    def answer(self, *given):
        return 3

    def lend(self, *given):
        return None

    def keep(self, *given):
        kept.append((self, *given, given[2].get(0)))

    def lose(self, *given):
        self.momentum = 1

    def entropy(self, *given):
        random.Random()

    def clock(self, *given):
        time.time()

    def file(self, *given):
        open("/etc/hostname")

    def environment(self, round, global_, updates, state):
        state.put_bytes("environment", str(dict(os.environ)).encode())

    def late(self, *given):
        import wave

    def draw(self, round, global_, updates, state):
        drawn = (round.rng().random(), random.random(), hash("folkmoot"), list({"a", "b", "c", "d"}))
        state.put_bytes("drawn", str(drawn).encode())

    def loop(self, *given):
        while True:
            pass

    def memory(self, *given):
        kept.append(bytearray(1 << 30))

    def recur(self, *given):
        return self.recur(*given)

    def leave(self, *given):
        raise SystemExit(0)

    def touch(self, round, global_, updates, state):
        writer = global_.write()
        for start in range(0, global_.count(), 65536):
            values = global_.read(start, min(65536, global_.count() - start))
            writer.put(start, [2.0 * value for value in values])
        return type(writer).finish(writer)
