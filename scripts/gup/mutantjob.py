# SPDX-License-Identifier: GPL-2.0
"""Some mutants of many: what GNU parallel runs, in as many processes as it is told. What it needs
is in WHAT.json of a folder, see generated.py; it says a line of JSON of each, or nothing if this machine
could not try it.

    mutantjob.py boot FOLDER NUMBER...      a guest, until a test fails and says why
    mutantjob.py compile FOLDER NUMBER...   what the compiler makes of it

Verdicts of a guest:

  killed    a test failed, and said which expectation does not hold
  warned    no test failed, but the kernel warned
  crashed   an oops, a panic, an early end, or a test that failed without a word
  hung      it went silent, or said that something is stuck
  skips     it is the same, but for more tests that were skipped
  survived  it is the same
"""

import collections
import hashlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from gup import guest, ktap, schema, splat  # pylint: disable=wrong-import-position

LEAF = re.compile(r"^ +not ok \d+ ")
ENDLESS = "Expected an end after SIGKILL"  # gup_watchdog_kill()
CRASH = {"bug", "oops", "panic", "general-protection"}  # kinds of splat.py
STUCK = {"rcu-stall", "hung-task", "lockup"}  # a busy host can make these, too


class Told:
    """Has a test failed by an expectation, or has it no end, which the suites tell as well?"""

    def __init__(self):
        self.rest, self.said = "", False

    def __call__(self, data):
        *lines, self.rest = (self.rest + data.decode(errors="replace")).split("\n")
        for line in map(splat.plain, lines):
            self.said = self.said or bool(ktap.SAID.search(line))
            if self.said and (LEAF.match(line) or ENDLESS in line):
                return True
        return False


def by_test(lines):
    """{test: [results without one below, of them skipped]}"""
    found = collections.defaultdict(lambda: [0, 0])
    for path, word, group, _ in ktap.told(lines):
        if word and not group:
            count = found[".".join(path[:2])]
            count[0] += 1
            count[1] += word == "skip"
    return found


def counts(lines):
    """The same of all tests."""
    return [sum(column) for column in zip(*by_test(lines).values())] or [0, 0]


def judge(lines, end, expected):
    """(verdict, by what)"""
    said = ktap.what_was_said(lines)
    if said:
        return "killed", next(iter(said))
    text = [splat.plain(line).strip() for line in lines]
    complaints = [(kind, what) for _, kind, what in splat.splats(lines)]
    kinds = {kind for kind, what in complaints if "KASAN" not in what}
    silent = [line.strip() for line in map(splat.plain, lines) if LEAF.match(line)]
    by = f"{complaints[0][0]}: {complaints[0][1].strip()}" if complaints else (
        silent or [line for line in reversed(text) if line] or ["no output"])[0]
    by = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{6,}\b", "N", by)  # addresses are of one build
    if end in ("silent", "nothing", "flood") or kinds and kinds <= STUCK:
        return "hung", by
    if end != "exit" or kinds & CRASH or silent:
        return "crashed", by
    found = counts(lines)
    if found[0] != expected[0] or found[1] < expected[1]:
        return "crashed", by
    if complaints:
        return "warned", by
    return ("survived" if found == list(expected) else "skips"), ""


class NotTried(Exception):
    """This machine could not."""


def one_boot(job, number, expected, *more):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        words = [word.replace("GUP_MUTANT", " ".join([f"gup_mutant={number}", *more])) for word in job["boot"]]
        ended = guest.run(words, folder, job["silent"], until=Told())
        lines = (folder / "console.log").read_text(errors="replace").splitlines(True)
        if not any("Linux version " in line for line in lines):
            raise NotTried(f"no kernel has started: {(folder / 'qemu.err').read_text(errors='replace')}")
        verdict, by = judge(lines, ended["end"], expected)
        return {"verdict": verdict, "by": by}


def boot(job, number):
    """First the test alone that told it before, or the like of it, if there is one. Then those that come to its
    place. Then all, if that is wanted, or not known which come: one may notice what another one has left."""
    first, tests, expected = job["first"].get(number), *job["tests"].get(number, [None, job["expected"]])
    found = one_boot(job, number, job["expected"], f"kunit.filter_glob={first}") if first else None
    if found and found["verdict"] == "killed":
        return found
    found = one_boot(job, number, expected, f"gup_tests={tests}") if tests else None
    enough = found and (found["verdict"] != "survived" or not job["whole"])
    return found if enough else one_boot(job, number, job["expected"])


def compiled(job, number):
    """A digest, or "none" if it does not compile, or calls what nothing defines. The file has the
    name of the real one, so that only the code can differ. What it includes was read by generated.py."""
    text = schema.applied((pathlib.Path(job["folder"]) / "source.c").read_text(), job["mutants"][number])
    text = schema.INCLUDE.sub("", text)
    with tempfile.NamedTemporaryFile(suffix=".o") as out:
        words = [*job["compile"], "-include", job["headers"], "-x", "c", "-c", "-o", out.name, "-"]
        done = subprocess.run(words, cwd=job["out"], check=False,
                              input=f'# 1 "{job["path"]}"\n{text}', capture_output=True, text=True)
        if done.returncode == 1 and "error: " in done.stderr:
            return {"object": "none"}
        if done.returncode:
            raise NotTried(f"the compiler ended with {done.returncode}: {done.stderr}")
        wanted = subprocess.run(["nm", "--undefined-only", "--format=just-symbols", out.name], check=True,
                                capture_output=True, text=True).stdout.split()
        if set(wanted) - set((pathlib.Path(job["folder"]) / "symbols").read_text().split()):
            return {"object": "none"}
        return {"object": hashlib.sha256(pathlib.Path(out.name).read_bytes()).hexdigest()[:16]}


def stop(*_):
    """parallel ends us by SIGTERM, and the guest has to end with us."""
    sys.exit(1)


def main(what, folder, *numbers):
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, stop)
    job = json.loads((pathlib.Path(folder) / f"{what}.json").read_text())
    for number in numbers:
        found = {"boot": boot, "compile": compiled}[what](job, number)
        print(json.dumps({"number": int(number), **found}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
