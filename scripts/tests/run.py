# SPDX-License-Identifier: GPL-2.0
"""run.py [NAME-PART]...: the harness's tests, several at a time.

Each test runs in a process of its own. Prints what failed, the slowest, and the counts.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def names(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from names(item)
        else:
            yield item.id()


def run_one(name):
    start = time.monotonic()
    process = subprocess.run([sys.executable, "-m", "unittest", "-v", name], cwd=HERE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return name, process.returncode, process.stdout, time.monotonic() - start


def main():
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path.insert(0, str(HERE))
    found = sorted(names(unittest.defaultTestLoader.discover(str(HERE), "test_*.py")))
    wanted = [n for n in found if not sys.argv[1:] or any(part in n for part in sys.argv[1:])]
    if not wanted:
        print("no test of that name")
        return 2
    failed, skipped, times = [], 0, []
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) * 2) as pool:
        for name, status, output, seconds in pool.map(run_one, wanted):
            times.append((seconds, name))
            reason = re.search(r"\.\.\. skipped '(.*)'", output)
            if reason:
                skipped += 1
                print(f"not run: {name}: {reason[1]}")
            if status:
                failed.append(name)
                print(f"FAILED: {name}\n{output}")
    for seconds, name in sorted(times, reverse=True)[:3]:
        print(f"       {seconds:5.1f} s  {name}")
    print(f"{len(wanted) - len(failed) - skipped} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
