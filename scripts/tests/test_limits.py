# SPDX-License-Identifier: GPL-2.0
"""When a guest is stopped, and when it does not. No test here needs a fast machine:
what must not be stopped is given a clock that stands still, or steps taken one by one."""

import io
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sandbox  # noqa: E402,F401  where our package is
from gup import guest, limits, selftests  # noqa: E402

SHORT = 0.3
# A thread that has waited for a CPU all the time.
STARVED = mock.patch.object(limits, "threads", lambda pid: {"1": (0, time.monotonic(), False)})
UNKNOWN = mock.patch.object(limits, "threads", lambda pid: {})


def slow(times):
    return mock.patch.object(limits, "slowness", lambda wall=False: times)


class Watch(unittest.TestCase):
    def end(self, script, silent=SHORT):
        """How a guest that is a line of shell ends. One that nobody stops is killed, and so exits."""
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        timer = threading.Timer(60, process.kill)
        timer.start()
        with process.stdout, io.BytesIO() as log:
            try:
                return guest.watch(process, log, silent)[0]
            finally:
                timer.cancel()
                process.kill()
                process.wait()

    def test_ends(self):
        self.assertEqual(self.end("echo one", 60), "exit")

    def test_hangs(self):
        self.assertEqual(self.end("echo one; exec sleep 60"), "silent")
        self.assertEqual(self.end("echo one; while :; do :; done"), "silent")
        self.assertEqual(self.end("exec sleep 60"), "nothing")

    def test_repeats_itself(self):
        self.assertEqual(self.end('while i=$((i+1)); do echo "[ 1.$i] stall, t=$i at f+0x$i"; sleep 0.1; done'), "silent")

    def test_a_guest_that_gets_no_cpu_is_not_slow(self):
        with slow(1):
            with STARVED:
                self.assertEqual(self.end("sleep 2; echo late"), "exit")
            with UNKNOWN:
                self.assertEqual(self.end("exec sleep 60"), "nothing")

    def test_a_slow_machine_has_more_time(self):
        with UNKNOWN, slow(1000):
            self.assertEqual(self.end("sleep 2; echo late"), "exit")

    def test_prints_for_ever(self):
        with mock.patch.object(guest, "MOST_OUTPUT", 10000):
            self.assertEqual(self.end("exec yes ok 1 again", 60), "flood")

    def test_a_dead_kernel_is_not_waited_for(self):
        with mock.patch.object(guest, "GRACE", 0.1):
            self.assertEqual(self.end("echo Kernel panic - not syncing: x; exec sleep 60", 60), "panic")


class Progress(unittest.TestCase):
    """Step by step: the guest prints its next line when watch() asks for the time."""

    def restarts(self, *steps):
        """For each step, a line or a function: was it progress?"""
        seen, left = [], list(steps)
        reader, writer = os.pipe()

        class Clock:
            slow = 1

            def __init__(self, _pid):
                pass

            def restart(self):
                seen[-1] = True

            def exceeds(self, _limit):
                if not left:
                    return True
                seen.append(False)
                step = left.pop(0)
                if callable(step):
                    step()
                else:
                    os.write(writer, step.encode())
                return False

        process = mock.Mock(pid=0, poll=lambda: None, stdout=os.fdopen(reader, "rb", buffering=0))
        with process.stdout, mock.patch.object(limits, "Silence", Clock), mock.patch.object(guest, "LOOK", 0):
            guest.watch(process, io.BytesIO(), also=self.also)
        os.close(writer)
        return seen

    def setUp(self):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.also = pathlib.Path(top.name, "tests.log")

    def test_new_lines(self):
        self.assertEqual(self.restarts("[    0.1] one\n", "[    0.2] two\n"), [True, True])

    def test_the_same_with_other_numbers(self):
        self.assertEqual(self.restarts(
            "[    0.1] rcu: stall (t=21002 jiffies, ffff888003d5) f+0x1a/0x30\n",
            "[   63.1][  T12] rcu: stall (t=84005 jiffies, ffff88800aaa) f+0xbc/0x30\r\n"), [True, False])

    def test_results(self):
        self.assertEqual(self.restarts(*["[    0.1]     ok 1 anon\n"] * 2, *["not ok 2 x\n"] * 2,
                                       *["gup_bench: layout order0 1\n"] * 2), [True] * 6)

    def test_half_a_line(self):
        self.assertEqual(self.restarts("on", "e\n", "tw", "e\n"), [False, True, False, True])

    def test_the_other_file(self):
        self.assertEqual(self.restarts(lambda: self.also.write_text("x"), lambda: None,
                                       lambda: self.also.write_text("xy")), [True, False, True])


class Clock(unittest.TestCase):
    def test_a_limit_grows_with_what_was_measured(self):
        clock = limits.Silence(os.getpid())
        with slow(3), mock.patch.object(clock, "seconds", side_effect=[1, 2, 2, 4, 4]):
            self.assertEqual([clock.exceeds(1.5) for _ in range(2)], [False, False])
            self.assertEqual(clock.slow, 3)
            self.assertFalse(clock.exceeds(1.5))
        with slow(1), mock.patch.object(clock, "seconds", return_value=5):
            self.assertTrue(clock.exceeds(1.5))

    def test_a_wait_that_is_not_over(self):
        """It is not in the kernel's count."""
        def counted(*looks):
            with mock.patch.object(limits, "threads", side_effect=[{"1": look} for look in looks]), \
                    mock.patch.object(time, "monotonic", side_effect=itertools.count(0, 10)):
                clock = limits.Silence(0)
                return [clock.seconds() for _ in looks[1:]][-1]
        self.assertEqual(counted(*[(1, 0, True)] * 5), 0)
        self.assertGreater(counted(*[(1, 0, False)] * 5), 50)
        self.assertGreater(counted(*[(ran, 0, True) for ran in range(5)]), 50)
        self.assertEqual(counted(*[(1, 0, True)] * 4, (2, 110, True)), 0)

    def test_sleep_counts(self):
        with subprocess.Popen(["sleep", "60"]) as process:
            clock = limits.Silence(process.pid)
            while clock.seconds() < 0.5 and clock.wall() < 30:
                time.sleep(0.05)
            self.assertGreaterEqual(clock.seconds(), 0.5)
            process.kill()

    @unittest.skipUnless(limits.threads("self"), "this kernel does not count how long a thread waits")
    def test_waiting_for_a_cpu_does_not_count(self):
        cpu = min(os.sched_getaffinity(0))
        spin = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"],
                                 preexec_fn=lambda: os.sched_setaffinity(0, [cpu])) for _ in range(4)]
        try:
            clock = limits.Silence(spin[0].pid)
            time.sleep(1.5)
            self.assertLess(clock.seconds(), 0.7 * clock.wall())
        finally:
            for process in spin:
                process.kill()
                process.wait()

    def test_speed(self):
        with mock.patch.object(limits, "REFERENCE", 1e9):
            self.assertEqual(limits.slowness(), 1)
        with mock.patch.object(limits, "REFERENCE", 1e-3):
            self.assertGreater(limits.slowness(), 2)
            # What waits for a CPU is slow by plain time, and not by its own.
            with STARVED:
                self.assertEqual(limits.slowness(), 1)
                self.assertGreater(limits.slowness(wall=True), 2)
        with slow(2.5):
            self.assertEqual(limits.scaled(100), 250)


class Others(unittest.TestCase):
    def test_probe(self):
        with tempfile.TemporaryDirectory() as top, slow(1):
            fake = pathlib.Path(top, "qemu")
            fake.write_text(f"#!/bin/sh\nsleep 1\nexit {guest.REACHED}\n")
            fake.chmod(0o755)
            with STARVED:
                self.assertTrue(guest.accelerator_runs(str(fake), "kvm", SHORT))
            with UNKNOWN:
                self.assertFalse(guest.accelerator_runs(str(fake), "kvm", SHORT))

    def test_selftests_have_more_time_on_a_slow_machine(self):
        lines = selftests.load("60 tmpfs cow\n")
        self.assertEqual([selftests.plan(lines, slow) for slow in (1, 2)], [["60 tmpfs cow"], ["120 tmpfs cow"]])


if __name__ == "__main__":
    unittest.main()
