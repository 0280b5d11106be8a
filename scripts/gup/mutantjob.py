# SPDX-License-Identifier: GPL-2.0
"""One mutant of many: what GNU parallel runs, in as many processes as it is told. What it needs
is in WHAT.json of a folder, see generated.py; a line of JSON is what it says, or nothing if this machine
could not try it.

    mutantjob.py boot FOLDER NUMBER      a guest, until a test fails and says why
    mutantjob.py compile FOLDER NUMBER   what the compiler makes of it

Verdicts of a guest:

  killed    a test failed, and said which expectation does not hold
  warned    no test failed, but the kernel warned
  crashed   an oops, a panic, an early end, or a test that failed without a word
  hung      it went silent, or said that something is stuck
  skips     it is the same, but for more tests that were skipped
  survived  it is the same
"""

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
CRASH = {"bug", "oops", "panic", "general-protection"}  # kinds of splat.py
STUCK = {"rcu-stall", "hung-task", "lockup"}  # a busy host can make these, too


class Told:
    """Has a test failed by an expectation?"""

    def __init__(self):
        self.rest, self.said = "", False

    def __call__(self, data):
        *lines, self.rest = (self.rest + data.decode(errors="replace")).split("\n")
        for line in map(splat.plain, lines):
            self.said = self.said or bool(ktap.SAID.search(line))
            if self.said and LEAF.match(line):
                return True
        return False


def counts(lines):
    """(results, of them skipped)"""
    words = [word for _, word, _, _ in ktap.told(lines)]
    return sum(word in ("ok", "not ok") for word in words), words.count("skip")


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
    if sum(found) != sum(expected) or found[1] < expected[1]:
        return "crashed", by
    if complaints:
        return "warned", by
    return ("survived" if found == tuple(expected) else "skips"), ""


class NotTried(Exception):
    """This machine could not."""


def one_boot(job, number, *more):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        words = [word.replace("GUP_MUTANT", " ".join([f"gup_mutant={number}", *more])) for word in job["boot"]]
        ended = guest.run(words, folder, job["silent"], until=Told())
        lines = (folder / "console.log").read_text(errors="replace").splitlines(True)
        if not any("Linux version " in line for line in lines):
            raise NotTried(f"no kernel has started: {(folder / 'qemu.err').read_text(errors='replace')}")
        verdict, by = judge(lines, ended["end"], job["expected"])
        return {"verdict": verdict, "by": by}


def boot(job, number):
    """All tests, but first the one alone that told it before, if there is one."""
    first = job["first"].get(number)
    found = one_boot(job, number, f"kunit.filter_glob={first}") if first else None
    return found if found and found["verdict"] == "killed" else one_boot(job, number)


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


def main(what, folder, number):
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, stop)
    job = json.loads((pathlib.Path(folder) / f"{what}.json").read_text())
    found = {"boot": boot, "compile": compiled}[what](job, number)
    print(json.dumps({"number": int(number), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
