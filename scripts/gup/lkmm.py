# SPDX-License-Identifier: GPL-2.0
"""What herd7 says of a litmus test in C, for those that have no herd7: all candidate executions of it, and which of
them the kernel's own linux-kernel.cat allows.

Threads are run with each value that a read may return. Where the values fit, each read gets a write, and the writes
of each place an order. Places are looked at one by one first: coherence and atomicity are about one place each. Locks
are what lock.cat makes of them: a read-modify-write that reads "unlocked", and a release. Not known are trylock,
spin_is_locked(), SRCU and loops: a test with these ends in Unsupported. What the model says of data races is not
looked at, so a test should have marked accesses only.
"""

import collections
import itertools

from gup.cat import Model, Unsupported
from gup.litmusparse import Program, read_macros

SETS = "R W M F IW RMW LKR LKW UL LF RL RU ONCE RELEASE ACQUIRE NORETURN MB _".split()
RELATIONS = "po addr data ctrl rmw loc int ext id rf co".split()
# lock.cat, in what it adds to the classes of linux-kernel.bell.
LOCKS = "let Release = Release | UL let Acquire = Acquire | LKR"
FOLDER = "tools/memory-model"

Value = collections.namedtuple("Value", "value reads made", defaults=(frozenset(), frozenset()))
Event = collections.namedtuple("Event", "place value tags addr data ctrl")
COMPUTE = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "&": lambda a, b: a & b,
    "|": lambda a, b: a | b, "^": lambda a, b: a ^ b, "&~": lambda a, b: a & ~b,
    "==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b), "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b), ">": lambda a, b: int(a > b), ">=": lambda a, b: int(a >= b),
    "&&": lambda a, b: int(bool(a and b)), "||": lambda a, b: int(bool(a or b)),
}
TAGS = ("", "ONCE", "RELEASE", "ACQUIRE", "NORETURN", "MB")
UNLOCKED, LOCKED = 0, 1
SEVERAL = -1


class Thread:
    """One run. The n-th read returns the choices[n]-th of the values that it may; what comes after is the first."""

    def __init__(self, number, shared, values, choices):
        self.number, self.shared, self.values, self.choices, self.options = number, shared, values, choices, []
        self.events, self.registers, self.rmw, self.control = [], {}, [], frozenset()
        self.written, self.latest = [], {}

    def run(self, node):
        kind, *rest = node
        if kind == "block":
            for one in rest[0]:
                self.run(one)
        elif kind == "if":
            condition, before = self.of(rest[0]), self.control
            self.control = before | condition.reads
            self.run(rest[1] if condition.value else rest[2])
            self.control = before
        elif kind == "assign" and rest[0][0] == "name":
            self.registers[rest[0][1]] = self.of(rest[1])
        elif kind == "assign" and rest[0][0] == "load":
            self.write(self.of(rest[0][2]), self.of(rest[1]), (), node)
        elif kind == "assign":
            raise Unsupported(f"C: {rest[0][0]} =")
        elif rest[0][0] != "name":  # a declaration
            self.of(rest[0])

    def of(self, node):
        """Value of an expression."""
        kind, *rest = node
        if kind == "number":
            return Value(rest[0])
        if kind == "name":
            return Value(rest[0]) if rest[0] in self.shared else self.registers.get(rest[0], Value(0))
        if kind == "load":
            return self.read(self.of(rest[1]), (), node)
        if kind == "block":  # a macro
            self.run(node)
            return Value(0)
        if kind == "binary":
            return self.computed(rest[0], self.of(rest[1]), self.of(rest[2]))
        name, _, tag = kind.rstrip("}").partition("{")
        if not hasattr(self, name[1:]) or name != "__fence" and tag not in TAGS:
            raise Unsupported(f"C: {kind}")
        return getattr(self, name[1:])(node, tag, *rest)

    @staticmethod
    def computed(operator, one, other):
        if operator not in ("==", "!=") and not isinstance(one.value, int) | isinstance(other.value, int):
            raise Unsupported(f"C: {operator} on an address")
        return Value(COMPUTE[operator](one.value, other.value), one.reads | other.reads, one.made | other.made)

    # ---------------------------------------------------------------- events

    def event(self, place, value, tags):
        self.events.append(Event(place.value, value.value, frozenset(tags), place.reads, value.reads, self.control))
        return len(self.events) - 1

    def read(self, place, tags, site, only=None):
        """One of the values that were not made by this site itself: nothing runs twice."""
        if not isinstance(place.value, str):
            raise Unsupported(f"C: {place.value} is no address")
        known = self.values.of(place.value, id(site))
        if self.values.writers.get(place.value, self.number) == self.number:  # nobody else writes it: the last value
            known = [self.latest.get(place.value) or self.values.first(place.value)]
        options = [found for found in known if only in (None, found.value)]
        choice = self.choices[len(self.options)] if len(self.options) < len(self.choices) else 0
        self.options.append(len(options))
        if not options:
            raise Stuck
        number = self.event(place, Value(options[choice].value), ("R", *tags))
        return Value(options[choice].value, frozenset([number]), options[choice].made)

    def write(self, place, value, tags, site):
        number = self.event(place, value, ("W", *tags))
        self.latest[place.value] = Value(value.value, made=value.made | {id(site)})
        self.written.append((place.value, self.latest[place.value], self.number))
        return number

    def exchange(self, node, tag, place, change):
        """A read-modify-write; change says what is written, or None for nothing."""
        old = self.read(place, ("RMW", tag), node)
        new = change(old)
        if new is not None:
            self.rmw.append((len(self.events) - 1, self.write(place, new, ("RMW", tag), node)))
        return old, new

    # ------------------------------------------- what linux-kernel.def is made of

    def _load(self, node, tag, place):
        if place[0] != "load":
            raise Unsupported("C: not a place")
        return self.read(self.of(place[2]), (tag,), node)

    def _store(self, node, tag, place, value):
        self.write(self.of(place[2]), self.of(value), (tag,), node)

    def _fence(self, node, tag):
        name = tag[0].upper() + tag[1:]
        self.events.append(Event(None, None, frozenset(("F", name)), frozenset(), frozenset(), self.control))

    def _xchg(self, node, tag, place, value):
        value = self.of(value)
        return self.exchange(node, tag, self.of(place), lambda old: value)[0]

    def _cmpxchg(self, node, tag, place, wanted, value):
        wanted, value = self.of(wanted), self.of(value)
        return self.exchange(node, tag, self.of(place), lambda old: value if old.value == wanted.value else None)[0]

    def _atomic_add_unless(self, node, tag, place, add, unless):
        add, unless = self.of(add), self.of(unless)
        old, new = self.exchange(node, tag, self.of(place), lambda old: None if old.value == unless.value
                                 else self.computed("+", old, add))
        return Value(int(new is not None), old.reads, old.made)

    def _atomic_op_return(self, node, tag, place, operator, value):
        value = self.of(value)
        return self.exchange(node, tag, self.of(place), lambda old: self.computed(operator[1], old, value))[1]

    def _atomic_fetch_op(self, node, tag, place, operator, value):
        value = self.of(value)
        return self.exchange(node, tag, self.of(place), lambda old: self.computed(operator[1], old, value))[0]

    def _atomic_op(self, *arguments):
        self._atomic_op_return(*arguments)

    def _lock(self, node, tag, place):
        place = self.of(place)
        self.read(place, ("LKR",), node, UNLOCKED)
        self.rmw.append((len(self.events) - 1, self.write(place, Value(LOCKED), ("LKW",), node)))

    def _unlock(self, node, tag, place):
        self.write(self.of(place), Value(UNLOCKED), ("UL",), node)


class Stuck(Exception):
    """A read has nothing to return."""


class Values:
    """What each place may hold, and the sites that were needed to make it: {place: {value: [sets of sites]}}.
    writers: {place: the only thread that writes it, or SEVERAL}"""

    def __init__(self, program):
        self.known, self.writers, self.init, self.final = {}, {}, program.init, False
        for name in {name for names, _ in program.threads for name in names} | {
                name for one in program.init.items() for name in one if isinstance(name, str)}:
            self.add(name, self.first(name))

    def first(self, place):
        return Value(self.init.get(place, 0))

    def add(self, place, value, writer=None):
        """Is it new?"""
        if writer is not None and self.writers.setdefault(place, writer) not in (writer, SEVERAL):
            self.writers[place] = SEVERAL
            self.add(place, value)
            return True
        sets = self.known.setdefault(place, {}).setdefault(value.value, [])
        if any(made <= value.made for made in sets):
            return False
        sets[:] = [made for made in sets if not value.made <= made] + [value.made]
        return True

    def of(self, place, site):
        """At the end the sites that another value was made by do not matter any more."""
        for value, sets in self.known[place].items():
            usable = [made for made in sets if site not in made]
            yield from (Value(value, made=made) for made in (usable[:1] if self.final else usable))


def runs(number, shared, block, values):
    """All of a thread. One that is stuck is none, but has said what else there is to choose."""
    waiting = [()]
    while waiting:
        choices = waiting.pop()
        run, stuck = Thread(number, shared, values, choices), False
        try:
            run.run(block)
        except Stuck:
            stuck = True
        for place in range(len(choices), len(run.options)):
            waiting += [choices + (0,) * (place - len(choices)) + (other,) for other in range(1, run.options[place])]
        if not stuck:
            yield run


def all_runs(program):
    """[all runs of each thread]: again, with what they have written, until that is nothing new."""
    values, new = Values(program), True
    threads = [(number, *thread) for number, thread in enumerate(program.threads)]
    while new:
        written = [one for thread in threads for run in runs(*thread, values) for one in run.written]
        new = [values.add(*one) for one in written].count(True)
    values.final = True
    return [list(runs(*thread, values)) for thread in threads]


# ------------------------------------------------------------------- executions

class Candidate:
    """One run of each thread, put together. Events of init come first."""

    def __init__(self, program, threads):
        self.events, self.thread, self.rmw, self.first = [], [], {}, []
        self.registers = [run.registers for run in threads]
        places = sorted({event.place for run in threads for event in run.events if event.place} | set(program.init))
        for place in places:
            self.append(Event(place, program.init.get(place, 0), frozenset(("W", "IW")), (), (), ()), -1)
        for number, run in enumerate(threads):
            self.first.append(len(self.events))
            self.rmw.update((self.first[-1] + read, self.first[-1] + write) for read, write in run.rmw)
            for event in run.events:
                self.append(event, number)
        self.places = {place: [n for n, event in enumerate(self.events) if event.place == place] for place in places}

    def append(self, event, thread):
        self.events.append(event)
        self.thread.append(thread)

    def orders(self, place):
        """[(order of the writes, {read: its write})] that are coherent and atomic, of one place."""
        init, *others = self.places[place]
        writes = [n for n in others if "W" in self.events[n].tags]
        reads = [n for n in others if "R" in self.events[n].tags]
        sources = [[w for w in (init, *writes) if self.events[w].value == self.events[r].value] for r in reads]
        if not all(sources):
            return
        for order in itertools.permutations(writes):
            when = {write: 2 * number for number, write in enumerate((init, *order))}
            if not self.in_order(writes, when):
                continue
            for chosen in itertools.product(*sources):
                rf = dict(zip(reads, chosen))
                when.update((read, when[write] + 1) for read, write in rf.items())
                atomic = all(when[self.rmw[r]] == when[w] + 2 for r, w in rf.items() if r in self.rmw)
                if atomic and self.in_order(others, when):
                    yield (init, *order), rf

    def in_order(self, events, when):
        """Does each thread see the place change in the order of its own accesses?"""
        pairs = ((a, b) for a, b in zip(events, events[1:]) if self.thread[a] == self.thread[b])
        return all(when[a] < when[b] or when[a] == when[b] and when[a] % 2 for a, b in pairs)

    def sets(self):
        found = collections.Counter()
        for number, event in enumerate(self.events):
            for tag in (*event.tags, "_", *(("M",) if event.place else ())):
                found[tag] |= 1 << number
        return found

    def relations(self):
        """Those that do not depend on rf and co."""
        size = len(self.events)
        found = {name: [0] * size for name in RELATIONS}
        for a, one in enumerate(self.events):
            for b, other in enumerate(self.events):
                bit, same = 1 << b, self.thread[a] == self.thread[b] >= 0 or a == b
                found["int" if same else "ext"][a] |= bit
                found["po"][a] |= bit if same and a < b else 0
                found["loc"][a] |= bit if one.place and one.place == other.place else 0
                found["id"][a] |= bit if a == b else 0
            for name in ("addr", "data", "ctrl"):
                for read in getattr(one, name):
                    found[name][self.first[self.thread[a]] + read] |= 1 << a
            found["rmw"][a] |= 1 << self.rmw[a] if a in self.rmw else 0
        return {name: tuple(rows) for name, rows in found.items()}

    def executions(self):
        """(rf and co as relations, {place: last value})"""
        for chosen in itertools.product(*(list(self.orders(place)) for place in self.places)):
            rf, co, last = [0] * len(self.events), [0] * len(self.events), {}
            for place, (order, sources) in zip(self.places, chosen):
                for number, write in enumerate(order):
                    co[write] = sum(1 << later for later in order[number + 1:])
                for read, write in sources.items():
                    rf[write] |= 1 << read
                last[place] = self.events[order[-1]].value
            yield {"rf": tuple(rf), "co": tuple(co)}, last


def holds(condition, registers, last):
    kind, *rest = condition
    if kind == "is":
        place, value = rest
        if isinstance(place, tuple):
            return registers[place[0]].get(place[1], Value(0)).value == value
        return last.get(place, 0) == value
    if kind == "not":
        return not holds(rest[0], registers, last)
    return (all if kind == "and" else any)(holds(one, registers, last) for one in rest)


def combined(program):
    """Runs that fit: each value that one reads is written by somebody."""
    found = all_runs(program)
    needs = [{id(run): {(e.place, e.value) for e in run.events if "R" in e.tags} for run in runs_} for runs_ in found]
    gives = [{id(run): {(e.place, e.value) for e in run.events if "W" in e.tags} for run in runs_} for runs_ in found]
    start = {(name, program.init.get(name, 0)) for names, _ in program.threads for name in names} | set(program.init.items())
    start |= {(name, program.init.get(name, 0)) for name in program.init.values() if isinstance(name, str)}
    for threads in itertools.product(*found):
        given = start.union(*(gives[n][id(run)] for n, run in enumerate(threads)))
        if all(needs[n][id(run)] <= given for n, run in enumerate(threads)):
            yield threads


class Checker:
    """The memory model of a kernel tree; read(name) gives the text of a file of it."""

    def __init__(self, read):
        self.macros = read_macros(read(f"{FOLDER}/linux-kernel.def"))
        self.model = Model(SETS + RELATIONS, read(f"{FOLDER}/linux-kernel.bell"), LOCKS, read(f"{FOLDER}/linux-kernel.cat"))

    def observe(self, text):
        """As herd7 says it: ("Never" or "Sometimes" or "Always", executions with the outcome, and without)."""
        program, counts = Program(text, self.macros), [0, 0]
        for threads in combined(program):
            candidate = Candidate(program, threads)
            base = None
            for more, last in candidate.executions():
                if base is None:
                    base = {**dict.fromkeys(self.model.base, 0), **candidate.sets(), **candidate.relations()}
                if self.model.allows({**base, **more}, len(candidate.events)):
                    counts[not holds(program.exists, candidate.registers, last)] += 1
        return "Never" if not counts[0] else "Sometimes" if counts[1] else "Always", *counts
