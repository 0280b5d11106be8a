# SPDX-License-Identifier: GPL-2.0
"""guest.py --results DIR --limit S --silent S --first S -- QEMU-COMMAND...

Runs one guest, writes DIR/console.log as it comes and DIR/guest.json: how it
ended. A kernel that is dead is not waited for: a panic gets two seconds for its
trace, silence ends the run, and so does the total time limit.
"""

import argparse
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import time

PANIC = b"Kernel panic - not syncing"
GRACE = 2.0


def watch(process, log, limit, silent, first):
    """Copy the console; return why the run is over: exit, panic, nothing (printed),
    silent or limit."""
    start = last = time.monotonic()
    seen, tail, deadline = 0, b"", None
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            selector.select(0.2)
            data = process.stdout.read()
            now = time.monotonic()
            if data == b"":
                return "panic" if deadline else "exit"
            if data:
                log.write(data)
                log.flush()
                seen, last = seen + len(data), now
                if deadline is None and PANIC in tail + data:
                    deadline = now + GRACE
                tail = (tail + data)[-len(PANIC):]
            if deadline and now > deadline:
                return "panic"
            if now - start > limit:
                return "limit"
            if not seen and now - start > first:
                return "nothing"
            if now - last > silent:
                return "silent"


def run():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds in all")
    parser.add_argument("--silent", type=float, required=True, help="seconds without output")
    parser.add_argument("--first", type=float, required=True, help="seconds to the first output")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    start = time.monotonic()
    errors = options.results / "qemu.err"
    with open(options.results / "console.log", "wb") as log, open(errors, "wb") as err:
        process = subprocess.Popen(options.command, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=err)

        def stop(number, _frame):
            process.kill()
            process.wait()
            # To die of the signal tells the shell more than a status does: it ends as well.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a job in the background
                signal.signal(number, stop)
        try:
            end = watch(process, log, options.limit, options.silent, options.first)
            if end == "exit":
                process.wait()
        finally:
            process.kill()
            process.wait()
    (options.results / "guest.json").write_text(json.dumps({
        "end": end,
        "status": process.returncode if end == "exit" else None,
        "seconds": round(time.monotonic() - start, 2),
        "limits": {"total": options.limit, "silent": options.silent, "first": options.first},
    }, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
