# SPDX-License-Identifier: GPL-2.0
"""When a guest hangs. None has to end within some time: that depends on the machine, and on
what else it does. A guest that hangs is one that shows no progress for SILENT seconds.

Progress is a line that the guest has not printed before, numbers aside, or a result of
a test or a benchmark. So a stall that is reported again and again is none.

The seconds are those in which the guest could have done something (class Silence):
  a guest that spins      counts while it runs;
  a guest that sleeps     counts, too: all its CPUs wait for what never comes;
  a guest that has to wait for a CPU of the host, because others use them, does not
                          count: it is not slow, it gets little;
  a slow machine          gets more seconds. Before a guest is stopped the speed of the
                          machine is measured, then and not at the start: it changes.
"""

import os
import pathlib
import re
import time

SILENT = 120.0  # 5.4 were the longest of a run of all suites that took 77 s
WORK = 5_000_000  # turns of an empty loop
REFERENCE = 0.1  # seconds that they take on a fast machine


# ------------------------------------------------------------------------ the clock

def threads(pid):
    """{thread: (seconds that it ran, that it waited for a CPU, could it run now?)}, or {} if
    the kernel does not count them."""
    found = {}
    for task in pathlib.Path("/proc", str(pid), "task").glob("*"):
        try:
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            found[task.name] = (ran / 1e9, waited / 1e9, state == "R")
        except (OSError, ValueError):
            continue  # it has ended
    return found


class Silence:
    """The time since the last progress of a process, without what it waited for a CPU."""

    def __init__(self, pid):
        self.pid, self.slow = pid, 1.0
        self.restart()

    def restart(self):
        self.before, self.since = threads(self.pid), time.monotonic()
        self.last = {thread: (ran, self.since) for thread, (ran, _, _) in self.before.items()}

    def wall(self):
        return time.monotonic() - self.since

    def waited(self, thread, ran, waited, could_run):
        """Since the last progress. A wait is in the kernel's count only when it is over."""
        then, since = self.last.get(thread, (None, 0))
        if ran != then or not could_run:
            since = time.monotonic()
        self.last[thread] = (ran, since)
        before = self.before.get(thread, (0, 0))[1]
        return waited - before + time.monotonic() - since

    def seconds(self):
        # Threads wait at the same time: not the sum. That of one is never more than the time.
        wall, now = self.wall(), threads(self.pid)
        return max(wall - max((self.waited(thread, *values) for thread, values in now.items()), default=0), 0)

    def exceeds(self, limit):
        """A limit for the reference machine. How fast ours is is seen before it strikes."""
        if self.seconds() <= limit * self.slow:
            return False
        self.slow = max(self.slow, slowness())
        return self.seconds() > limit * self.slow


def slowness(wall=False):
    """How many times slower than the reference this machine is, at least 1. With wall=True
    with what others take from us, for limits that count plain time."""
    clock = Silence(os.getpid())
    for _ in range(WORK):
        pass
    return max((clock.wall() if wall else clock.seconds()) / REFERENCE, 1.0)


def scaled(seconds):
    """A limit of plain time, for a program that has no better one."""
    return round(seconds * slowness(wall=True))


# ------------------------------------------------------------------------- progress

RESULT = re.compile(rb"(not )?ok \d|gup_\w+: ")
STAMP = re.compile(rb"^\[ *\d+\.\d+\](\[ *[CT]\d+\])? *")
NUMBERS = re.compile(rb"0x[0-9a-f]+|\b[0-9a-f]{6,}\b|\d+")


class Progress:
    """Which lines are news."""

    def __init__(self):
        self.seen, self.rest = set(), b""

    def add(self, data):
        """Is one of these lines new? All of them are seen from now on."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return True in [self.new(line) for line in lines]

    def new(self, line):
        text = STAMP.sub(b"", line.strip()).strip()
        if RESULT.match(text):
            return True
        text = NUMBERS.sub(b"#", text)
        if text in self.seen:
            return False
        self.seen.add(text)
        return True
