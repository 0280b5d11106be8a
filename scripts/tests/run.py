# SPDX-License-Identifier: GPL-2.0
"""run.py [NAME-PART]...: the harness's tests, several at a time.

All modules are loaded once. Each test runs in a fork of this process: nothing that it changes
is seen by another one, and it costs no start of Python. Prints what failed, the dearest, what
all of it cost, and the counts.
"""

import contextlib
import faulthandler
import gc
import os
import pathlib
import re
import resource
import signal
import sys
import tempfile
import time
import unittest

from sandbox import PATIENCE

HERE = pathlib.Path(__file__).resolve().parent
SHOWN = 5  # of the dearest


def flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


class Running:
    """One test in a process of its own."""

    def __init__(self, test):
        self.name = test.id()
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self.pid = os.fork()
        if not self.pid:
            try:
                os._exit(self.child(test))
            finally:
                os._exit(1)

    def child(self, test):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for stream in (1, 2):
            os.dup2(self.output.fileno(), stream)
        # What it starts has a limit of its own; this one is for the test.
        faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
        result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite([test]))
        sys.stdout.flush()
        return 0 if result.wasSuccessful() else 1

    def text(self):
        self.output.seek(0)
        return self.output.read()


def run_all(tests):
    """(Running, its status, the seconds of CPU time that it took) of each, as it ends."""
    waiting, running = list(tests), {}
    try:
        while waiting or running:
            while waiting and len(running) < 2 * (os.cpu_count() or 1):
                one = Running(waiting.pop(0))
                running[one.pid] = one
            pid, status, used = os.wait4(-1, 0)
            yield running.pop(pid), os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.kill(pid, signal.SIGTERM)


def main():
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so remove what is in WORK
    sys.path.insert(0, str(HERE))
    found = sorted(flat(unittest.defaultTestLoader.discover(str(HERE), "test_*.py")), key=lambda test: test.id())
    wanted = [test for test in found
              if not sys.argv[1:] or any(part in test.id() for part in sys.argv[1:])]
    if not wanted:
        print("no test of that name")
        return 2
    # A fork that looks for garbage copies all that is here.
    gc.freeze()
    gc.disable()
    failed, skipped, times = [], 0, []
    for one, status, seconds in run_all(wanted):
        times.append((seconds, one.name))
        output = one.text()
        reason = re.search(r"\.\.\. skipped '(.*)'", output)
        if reason:
            skipped += 1
            print(f"not run: {one.name}: {reason[1]}", flush=True)
        if status:
            failed.append(one.name)
            print(f"FAILED: {one.name} (status {status})\n{output}", flush=True)
    for seconds, name in sorted(times, reverse=True)[:SHOWN]:
        print(f"       {seconds:5.1f} s of CPU time  {name}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"       {time.monotonic() - start:5.1f} s in all, {used.ru_utime + used.ru_stime:.1f} s of CPU time")
    print(f"{len(wanted) - len(failed) - skipped} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
