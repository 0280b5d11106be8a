# SPDX-License-Identifier: GPL-2.0
"""One mutant of many: what GNU parallel runs, in as many processes as there are CPUs, here or
elsewhere. All that it needs is in a folder, see generated.py; a line of JSON is what it says.

    mutantjob.py boot FOLDER NUMBER      a guest, until a test fails and says why
    mutantjob.py compile FOLDER NUMBER   what the compiler makes of it

Verdicts of a guest:

  killed    a test failed, and said which expectation does not hold
  warned    no test did, but the kernel warned
  crashed   it ended early, or a test failed without a word
  hung      it went silent
  skips     it is the same, but for more tests that were skipped
  survived  it is the same
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from gup import guest, killed, splat  # pylint: disable=wrong-import-position

RESULT = re.compile(r"^ *(not )?ok \d+ (?!.*# SKIP)")
SKIP = re.compile(r"^ *ok \d+ .*# SKIP")
LEAF = re.compile(r"^ +not ok \d+ ", re.M)


class Told:
    """Has a test failed by an expectation?"""

    def __init__(self):
        self.rest, self.said = "", False

    def __call__(self, data):
        *lines, self.rest = (self.rest + data.decode(errors="replace")).split("\n")
        for line in map(splat.plain, lines):
            self.said = self.said or bool(killed.SAID.search(line))
            if self.said and LEAF.match(line):
                return True
        return False


def counts(lines):
    """(results, of them skipped)"""
    text = [splat.plain(line) for line in lines]
    return sum(bool(RESULT.match(line)) for line in text), sum(bool(SKIP.match(line)) for line in text)


def judge(lines, end, expected):
    """(verdict, by what)"""
    said = killed.what_was_said(lines)
    if said:
        return "killed", next(iter(said))
    complaints = splat.splats(lines)
    last = next((splat.plain(line).strip() for line in reversed(lines) if line.strip()), "no output")
    if complaints:
        _, kind, what = complaints[0]
        return "crashed" if end != "exit" or kind in ("panic", "oops") else "warned", f"{kind}: {what.strip()}"
    if end != "exit":
        return "hung" if end in ("silent", "nothing", "flood") else "crashed", last
    silent = [line for line in map(splat.plain, lines) if LEAF.match(line)]
    if silent:
        return "crashed", silent[0].strip()
    found = counts(lines)
    if found == tuple(expected):
        return "survived", ""
    return ("skips", "") if found[1] > expected[1] and sum(found) == sum(expected) else ("crashed", last)


def one_boot(job, number, *more):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        words = [word.replace("GUP_MUTANT", " ".join([f"gup_mutant={number}", *more])) for word in job["boot"]]
        ended = guest.run(words, folder, job["silent"], until=Told())
        lines = (folder / "console.log").read_text(errors="replace").splitlines(True)
        verdict, by = judge(lines, ended["end"], job["expected"])
        return {"verdict": verdict, "by": by}


def boot(job, number):
    """All tests, but first the one alone that told it before, if there is one."""
    first = job["first"].get(number)
    found = one_boot(job, number, f"kunit.filter_glob={first}") if first else None
    return found if found and found["verdict"] == "killed" else one_boot(job, number)


def compiled(job, number):
    """A digest, or "none" if it does not compile, or calls what nothing defines. The file has the
    name of the real one, so that only the code can differ."""
    text = (pathlib.Path(job["folder"]) / "source.c").read_text()
    for start, end, new in reversed(job["mutants"][number]):
        text = text[:start] + new + "\n" * max(text.count("\n", start, end) - new.count("\n"), 0) + text[end:]
    with tempfile.NamedTemporaryFile(suffix=".o") as out:
        done = subprocess.run([*job["compile"], "-x", "c", "-c", "-o", out.name, "-"], cwd=job["out"], check=False,
                              input=f'# 1 "{job["path"]}"\n{text}', capture_output=True, text=True)
        if done.returncode:
            return {"object": "none"}
        wanted = subprocess.run(["nm", "--undefined-only", "--format=just-symbols", out.name], check=True,
                                capture_output=True, text=True).stdout.split()
        if set(wanted) - set((pathlib.Path(job["folder"]) / "symbols").read_text().split()):
            return {"object": "none"}
        return {"object": hashlib.sha256(pathlib.Path(out.name).read_bytes()).hexdigest()[:16]}


def main(what, folder, number):
    job = json.loads((pathlib.Path(folder) / "job.json").read_text())
    found = {"boot": boot, "compile": compiled}[what](job, number)
    print(json.dumps({"number": int(number), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
