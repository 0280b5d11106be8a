# SPDX-License-Identifier: GPL-2.0
"""guest.py --results DIR [--silent S] [--also FILE] -- COMMAND...

Runs one guest, writes DIR/console.log as it comes and DIR/guest.json: how it ended.
A panic gets two seconds for its trace. No guest has to end within some time: that
depends on the machine, and on what else it does. A guest is stopped when it hangs,
and a guest that hangs is one that shows no progress for SILENT seconds.

Progress is a line that the guest has not printed before, numbers aside, or a result of
a test or a benchmark. So a stall that is reported again and again is none. The file
FILE, if the guest writes to one, makes progress when it grows.

The seconds are those in which the guest could have done something (class Silence):
  a guest that spins      counts while it runs;
  a guest that sleeps     counts, too: all its CPUs wait for what never comes;
  a guest that has to wait for a CPU of the host, because others use them, does not
                          count: it is not slow, it gets little;
  a slow machine          gets more seconds. Before a guest is stopped the speed of the
                          machine is measured, then and not at the start: it changes.

A guest that prints for ever meets a limit of its own, on what it prints.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time

SILENT = 120.0	# 5.4 were the longest of a run of all suites that took 77 s
MOST_OUTPUT = 64 << 20	# all suites print 104 KiB
PANIC = b"Kernel panic - not syncing"
GRACE = 2.0
LOOK = 0.2	# seconds between two looks at the clock

WORK = 5_000_000	# turns of an empty loop
REFERENCE = 0.1	# seconds that they take on a fast machine


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


# ------------------------------------------------------------------------ the guest

def size(path):
    return path.stat().st_size if path and path.exists() else 0


def watch(process, log, silent=SILENT, also=None, stopped=()):
    """Copy the console; return why the run is over: exit, panic, nothing (printed), silent,
    flood, or None if something is in stopped. The second value is the silence allowed."""
    silence, progress = Silence(process.pid), Progress()
    end, printed, tail, panic, looked, news, grown = None, 0, b"", None, 0.0, False, 0
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not end and not stopped:
            selector.select(LOOK)
            # Not the end of its output: what it has started may hold that open.
            ended = process.poll() is not None
            data = process.stdout.read()
            if data:
                log.write(data)
                log.flush()
                printed += len(data)
                news = progress.add(data) or news
                if panic is None and PANIC in tail + data:
                    panic = Silence(process.pid)
                tail = (tail + data)[-len(PANIC):]
            elif ended:
                end = "panic" if panic else "exit"
            elif data == b"":
                time.sleep(0.01)  # it is about to end, and select() does not wait any more
            if end or time.monotonic() - looked < LOOK:
                continue
            looked = time.monotonic()
            if panic and panic.exceeds(GRACE):
                end = "panic"
            elif printed > MOST_OUTPUT:
                end = "flood"
            elif news or size(also) != grown:
                news, grown = False, size(also)
                silence.restart()
            elif silence.exceeds(silent):
                end = "silent" if printed else "nothing"
    return end, silent * silence.slow


def end_all(process):
    """The guest, and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--silent", type=float, default=SILENT, help="seconds without progress")
    parser.add_argument("--also", type=pathlib.Path, help="another file that the guest writes")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    start, stopped = time.monotonic(), []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a job in the background
            signal.signal(number, lambda number, _frame: stopped.append(number))
    # A UML that panics dumps core, and keeps files in ~/.uml that it removes only if it ends
    # by itself. In a group of its own, since it then sends a signal to all of its group.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as home, open(options.results / "console.log", "wb") as log, \
            open(options.results / "qemu.err", "wb") as err:
        process = subprocess.Popen(options.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                                   start_new_session=True, env={**os.environ, "HOME": home})
        try:
            end, allowed = watch(process, log, options.silent, options.also, stopped)
        finally:
            end_all(process)
    if stopped:
        # To die of the signal tells the shell more than a status does: it ends as well.
        signal.signal(stopped[0], signal.SIG_DFL)
        os.kill(os.getpid(), stopped[0])
    (options.results / "guest.json").write_text(json.dumps({
        "end": end,
        "status": process.returncode if end == "exit" else None,
        "seconds": round(time.monotonic() - start, 2),
        "silence_allowed": round(allowed, 1),
    }, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
