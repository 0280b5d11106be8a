# SPDX-License-Identifier: GPL-2.0
"""The seeded bugs of kunit/mutants/, and what became of them. Behind scripts/mutants.

  mutants.py list [SELECTION]
  mutants.py select RESULTS KEY [SELECTION]      print the names that have to run; what is
                                                 missing for base goes into base.todo
  mutants.py base RESULTS GUEST                  the named tests without any mutant
  mutants.py apply RESULTS NAME REPO             put one into the work tree
  mutants.py broken RESULTS NAME LOG --since S   record that it does not compile
  mutants.py same RESULTS NAME --since S         record that nothing of it is built
  mutants.py try RESULTS NAME GUEST --since S    boot the named tests, record the verdict
  mutants.py summary RESULTS                     result.json and table; status by class
  mutants.py refresh REPO HEAD                   export them against HEAD again

SELECTION: --only GLOB, --part I/N, --config NAME; for select also --arch, --changed, --again.
GUEST: --tree DIR [--silent S] -- QEMU-COMMAND, where @GLOB@ is replaced.

A test that failed has said which expectation does not hold. One that ended in an oops,
a panic, a hang or a warning alone has not: that is a crash, and kills nothing.

All tests run on FULL. On another architecture some do not, nor is all code built there: what
runs has to fail, and a mutant that can tell nothing is "not on" it, which is no failure.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import splat
import verdict
from common import LIB, ROOT, Failure, Git, exit_codes, main
from guest import SILENT
from series import part, write

MUTANTS = ROOT / "kunit/mutants"
KEPT = pathlib.Path(os.environ.get("CACHE", "."), "mutants")
KEEP_DAYS = 60
FULL = "x86_64"
# Status of a helper that has recorded such a verdict; 1 is a bug's.
NOT_KILLED, NOT_HERE = 100, 101
SAID = re.compile(r"(EXPECTATION|ASSERTION) FAILED")

# Each verdict but "killed", and the class of the exit-code table that it means.
BAD = {"does not apply": "apply", "did not build": "build", "no such test": "test",
       "fails without": "test", "crash only": "test", "survived": "test"}


# What judge() says of a boot, the worst first.
STATES = ("fails", "crashes", "absent", "passes")


# --------------------------------------------------------------------- the files

class Mutant:
    """A patch with a header: fields, a blank line, an explanation."""

    ONE, MANY = ("Subject", "Brings-back", "Runs", "Config"), ("Killed-by",)

    def __init__(self, path):
        self.path, self.name = path, path.stem
        head, mark, diff = path.read_text().partition("\ndiff --git ")
        self.head, self.diff = head + "\n", mark[1:] + diff
        fields, _, self.explanation = head.partition("\n\n")
        self.fields = {}
        for line in fields.splitlines():
            key, colon, value = line.partition(": ")
            if not colon or key not in self.ONE + self.MANY or not value.strip():
                self.complain(f"'{line}' is no field of a mutant")
            if key in self.fields and key in self.ONE:
                self.complain(f"two lines '{key}:'")
            self.fields.setdefault(key, []).append(value.strip())
        for key in ("Subject", "Brings-back", "Killed-by"):
            if key not in self.fields:
                self.complain(f"no line '{key}:'")
        if len(self.explanation.split()) < 4:
            self.complain("no explanation")
        self.subject, self.brings_back = (self.fields[key][0] for key in ("Subject", "Brings-back"))
        self.globs = self.fields["Killed-by"]
        for glob in self.globs:
            if not re.fullmatch(r"[\w*?]+\.[\w*?]+(\..+)?", glob):
                self.complain(f"'Killed-by: {glob}' is not suite.test or suite.test.parameter")
        runs = re.fullmatch(r"(?:([1-9]\d*)/)?([1-9]\d*)", self.fields.get("Runs", ["1"])[0])
        if not runs or int(runs[1] or 1) > int(runs[2]):
            self.complain("'Runs:' is N, or K/N for K of N boots")
        self.needed, self.runs = int(runs[1] or 1), int(runs[2])
        self.config = self.fields.get("Config", ["reference"])[0]
        self.hunks = list(hunks(self.diff))
        self.files = sorted({path for path, _ in self.hunks})
        if not self.hunks:
            self.complain("no diff")

    def complain(self, what):
        raise Failure("check", f"kunit/mutants/{self.path.name}: {what}",
                      "kunit/mutants/README says what a mutant looks like")

    def key(self, key):
        """What its verdict depends on: KEY is that of everything but the mutant."""
        return digest(key, self.path.read_text())

    def out_of_place(self, git, head):
        """Why the context of a hunk does not say where it belongs, or None."""
        for number, (path, before) in enumerate(self.hunks, 1):
            lines = git.run("show", f"{head}:{path}", check=False).stdout.decode().splitlines()
            size = len(before)
            places = sum(lines[i:i + size] == before for i in range(len(lines) - size + 1))
            if places > 1:
                return f"{path}, hunk {number} of {len(self.hunks)} fits in {places} places"
        return None


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def hunks(diff):
    """(file, its lines before the change) of each hunk."""
    path, before = None, None
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            before = None
        elif before is None and line.startswith("--- "):
            path = line[4:].removeprefix("a/")
        elif line.startswith("@@ "):
            before = []
            yield path, before
        elif before is not None and line[:1] in ("", " ", "-"):
            before.append(line[1:])


def load():
    found = [Mutant(path) for path in sorted(MUTANTS.glob("*.patch"))]
    if not found:
        raise Failure("check", "kunit/mutants/ holds no mutant", "restore it: git checkout -- kunit/mutants")
    return found


def by_name(name):
    return Mutant(MUTANTS / f"{name}.patch")


# --------------------------------------------------------------------- selecting

def selected(options):
    """Those that were asked for, and those of them that want another configuration."""
    mutants = load()
    for glob in options.only or []:
        if not any(fnmatch.fnmatchcase(mutant.name, glob) for mutant in mutants):
            raise Failure("usage", f"no mutant matches '{glob}'", "scripts/mutants --list shows them")
    if options.only:
        mutants = [mutant for mutant in mutants
                   if any(fnmatch.fnmatchcase(mutant.name, glob) for glob in options.only)]
    if options.part:
        mutants = part(mutants, options.part)
    others = [mutant for mutant in mutants if mutant.config != options.config]
    if len(others) == len(mutants):
        raise Failure("usage", f"no mutant of those chosen is for the configuration {options.config}",
                      f"--config {others[0].config}, for example" if others else None)
    return [mutant for mutant in mutants if mutant not in others], others


def kept(key):
    path = KEPT / f"{key}.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    os.utime(path)
    return found


def keep(key, outcome):
    KEPT.mkdir(parents=True, exist_ok=True)
    for path in KEPT.glob("*.json"):
        if time.time() - path.stat().st_mtime > KEEP_DAYS * 86400:
            path.unlink(missing_ok=True)
    write(KEPT / f"{key}.json", (json.dumps(outcome, indent=1) + "\n").encode())


def select(options):
    """plan.json: the mutants of this run, and the tests to look at without any."""
    (mutants, others), outcomes = selected(options), {}
    for mutant in others:
        print(f"       left out, wants --config {mutant.config}: {mutant.name}", file=sys.stderr)
    for mutant in mutants:
        outcome = None if options.again else kept(mutant.key(options.key))
        if outcome:
            outcomes[mutant.name] = {**outcome, "name": mutant.name, "kept": True}
    if options.changed:
        mutants = [mutant for mutant in mutants if mutant.name not in outcomes]
    missing = [mutant for mutant in mutants if mutant.name not in outcomes]
    # Those that touch the same files in a row: less to compile.
    missing.sort(key=lambda mutant: (mutant.files, mutant.name))
    runs = {}
    for mutant in missing:
        for glob in mutant.globs:
            runs[glob] = max(runs.get(glob, 1), mutant.runs)
    base = {}
    for glob, number in runs.items():
        found = None if options.again else kept(digest(options.key, glob, str(number)))
        base[glob] = found or {"glob": glob, "runs": number}
    (options.results / "plan.json").write_text(json.dumps({
        "key": options.key, "config": options.config, "arch": options.arch,
        "mutants": [mutant.name for mutant in mutants], "base": base}, indent=1) + "\n")
    todo = [glob for glob, found in base.items() if "state" not in found]
    (options.results / "base.todo").write_text("".join(glob + "\n" for glob in todo))
    for name, outcome in outcomes.items():
        save(options.results, name, outcome)
    for mutant in missing:
        print(mutant.name)


def plan(results):
    return json.loads((results / "plan.json").read_text())


def not_here(the_plan):
    """The verdict on a mutant that can tell nothing on this architecture."""
    return "not on " + the_plan["arch"]


def globs_here(mutant, the_plan):
    """What of its tests runs on this architecture."""
    return [glob for glob in mutant.globs if the_plan["arch"] == FULL
            or the_plan["base"].get(glob, {}).get("state") != "absent"]


# ----------------------------------------------------------------------- a guest

def what_was_said(lines):
    """{test: lines of KUnit} for each test that failed by an expectation. A guest that dies
    in a test gives no result for it: what it said until then is kept under its case."""
    stack, said, found = [], [], {}
    for line in lines:
        text = splat.plain(line)
        started = re.match(r"\s*# Subtest: (.*)", text)
        result = re.match(r"\s*(not )?ok \d+ ([^#]*)", text)
        if started:
            stack, said = stack + [started[1]], []
        elif result:
            name = result[2].strip()
            if stack and stack[-1] == name:
                stack.pop()
            if said and result[1]:
                found[".".join([*stack, name])] = said
            said = []
        elif said or SAID.search(text):
            said.append(text.strip())
    case = re.match(r"# (\w+): ", said[0]) if said else None
    if case and stack:
        found[f"{stack[0]}.{case[1]}"] = said
    return found


def matches(name, glob):
    return fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(name, glob + ".*")


def kernel_glob(glob):
    """What the kernel can filter by: it knows nothing of parameters."""
    return ".".join(glob.split(".")[:2])


def judge(lines, guest, kunit, glob):
    """{state, tests, lines}: did the tests of a glob pass, fail, or crash?"""
    names = {status: [] for status in ("PASS", "SKIP", "FAIL", "ERROR")}
    for status, leaves in verdict.leaves(kunit or {}).items():
        names[status] = [name for name in leaves if matches(name, glob)]
    said = what_was_said(lines)
    failed = [name for name in names["FAIL"] + names["ERROR"] if name in said]
    ended = guest["end"] == "exit" and any("reboot: " in line for line in lines)
    if not failed and not ended and glob == kernel_glob(glob):
        # Which parameter it died in is not known.
        failed = [name for name in list(said)[-1:]
                  if name.count(".") == 1 and fnmatch.fnmatchcase(name, glob)]
    if failed:
        return {"state": "fails", "tests": failed, "lines": said[failed[0]][:8]}
    crashed = [name for name in names["FAIL"] + names["ERROR"] if name not in said]
    complaints = splat.splats(lines)
    if complaints:
        number, kind, what = complaints[0]
        return {"state": "crashes", "tests": crashed, "lines": [
            f"{kind}: {what}", *splat.excerpt(lines, number, 6)[1:]]}
    if not ended:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        return {"state": "crashes", "tests": crashed,
                "lines": [f"the guest did not end ({guest['end']}), last: {splat.plain(last)}"]}
    if crashed:
        return {"state": "crashes", "tests": crashed, "lines": ["no expectation of it failed"]}
    if names["SKIP"] or not names["PASS"]:
        what = f"skipped: {names['SKIP'][0]}" if names["SKIP"] else f"no test '{glob}' ran"
        return {"state": "absent", "tests": [], "lines": [what]}
    return {"state": "passes", "tests": names["PASS"],
            "lines": [f"fails, but is not named: {name}" for name in list(said)[:3]]}


def boot(options, directory, glob):
    """One guest with the tests of one glob: what judge() wants to know."""
    directory.mkdir(parents=True)
    command = [word.replace("@GLOB@", kernel_glob(glob)) for word in options.qemu]
    subprocess.run([sys.executable, "-S", str(LIB / "guest.py"), "--results", str(directory),
                    "--silent", str(options.silent), "--", *command], check=True)
    result = directory / "kunit.json"
    with open(directory / "kunit.txt", "w", encoding="utf-8") as text:
        # Its status tells of failed tests, which are read from the JSON.
        subprocess.run([sys.executable, "-S", "tools/testing/kunit/kunit.py", "parse", f"--json={result}",
                        str(directory / "console.log")], cwd=options.tree, stdout=text, stderr=text,
                       check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})  # as in run.sh
    with open(directory / "console.log", encoding="utf-8", errors="replace") as log:
        lines = log.readlines()
    guest = json.loads((directory / "guest.json").read_text())
    if not any(line.strip() for line in lines):
        raise Failure("boot", f"the guest printed nothing, see {directory}/qemu.err")
    return lines, guest, json.loads(result.read_text()) if result.exists() else None


# ----------------------------------------------------------- with and without one

def base(options):
    """The named tests must pass without a mutant, or a failure proves nothing."""
    the_plan, booted = plan(options.results), {}
    for glob, found in the_plan["base"].items():
        if "state" in found:
            continue
        # Globs that differ in the parameter alone share their boots.
        boots = booted.setdefault(kernel_glob(glob), [])
        for run in range(found["runs"]):
            if run == len(boots):
                number = sum(map(len, booted.values())) + 1
                boots.append(boot(options, options.results / f"base/{number}", glob))
            one = judge(*boots[run], glob)
            found.update(state=one["state"], lines=one["lines"])
            if one["state"] != "passes":
                print(f"       without a mutant: {glob} {one['state']}: {' '.join(one['lines'][:1])}")
                break
        else:
            keep(digest(the_plan["key"], glob, str(found["runs"])), found)
        (options.results / "plan.json").write_text(json.dumps(the_plan, indent=1) + "\n")


def unproven(mutant, the_plan):
    """(verdict, lines) if a named test does not pass without the mutant."""
    globs = globs_here(mutant, the_plan)
    if not globs:
        return not_here(the_plan), [line for glob in mutant.globs for line in the_plan["base"][glob]["lines"]]
    for glob in globs:
        found = the_plan["base"].get(glob, {})
        if found.get("state") == "absent":
            return "no such test", [f"Killed-by: {glob}", *found["lines"]]
        if found.get("state") != "passes":
            return "fails without", [f"Killed-by: {glob}", *found.get("lines", [])]
    return None


def save(results, name, outcome):
    (results / name).mkdir(parents=True, exist_ok=True)
    (results / name / "outcome.json").write_text(json.dumps(outcome, indent=1) + "\n")


def record(options, mutant, what, lines=(), tests=(), **more):
    outcome = {"name": mutant.name, "verdict": what, "subject": mutant.subject,
               "brings_back": mutant.brings_back, "killed_by": mutant.globs,
               "tests": list(tests), "lines": list(lines), "kept": False,
               "seconds": round(time.time() - options.since, 1), **more}
    the_plan = plan(options.results)
    if what in ("killed", "survived", not_here(the_plan)):  # the others may be the machine's fault
        keep(mutant.key(the_plan["key"]), outcome)
    save(options.results, mutant.name, outcome)
    print(row(outcome))
    return {"killed": 0, not_here(the_plan): NOT_HERE}.get(what, NOT_KILLED)


def keep_line_numbers(git, repo):
    """A warning has the number of its line. Where lines behind a change keep theirs, a kernel
    in which the changed code is not is the same."""
    for path in git.text("diff", "--cached", "--name-only").split():
        lines = pathlib.Path(repo, path).read_text().splitlines(True)
        ranges = re.findall(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@",
                            git.text("diff", "--cached", "--unified=0", "--", path), re.M)
        for old, gone, new, added in reversed([[int(n or 1) for n in found] for found in ranges]):
            if gone != added:
                lines.insert(new + max(added - 1, 0), f"#line {old + max(gone, 1)}\n")
        pathlib.Path(repo, path).write_text("".join(lines))


def apply(options):
    """A verdict, and its status, if there is no use in building it."""
    mutant, arch = by_name(options.name), plan(options.results)["arch"]
    bad = unproven(mutant, plan(options.results))
    if bad:
        return record(options, mutant, *bad)
    git = Git(options.repo)
    misplaced = mutant.out_of_place(git, "HEAD")
    if misplaced:
        return record(options, mutant, "does not apply", [misplaced, "scripts/mutants --refresh"])
    result = git.run("apply", "--index", "--whitespace=nowarn", str(mutant.path), check=False)
    if result.returncode:
        return record(options, mutant, "does not apply", result.stderr.decode().splitlines()[:2])
    if arch != FULL:
        keep_line_numbers(git, options.repo)
    return 0


def broken(options):
    log = options.log.read_text(errors="replace").splitlines()
    lines = [line for line in log if re.search(r"error:|undefined reference|\*\*\*", line)]
    return record(options, by_name(options.name), "did not build", (lines or log[-1:])[:3])


def same(options):
    return record(options, by_name(options.name), not_here(plan(options.results)),
                  ["the kernel is the same without it"])


def attempt(options):
    """Boot the named tests. Each of them has to fail; where there are more boots than one, for
    a race, one of them often enough. Globs that differ in the parameter alone share boots."""
    mutant = by_name(options.name)
    wanted = globs_here(mutant, plan(options.results))
    building = round(time.time() - options.since, 1)
    groups, found, states, seconds = {}, {}, [], 0
    for glob in wanted:
        groups.setdefault(kernel_glob(glob), []).append(glob)

    def failing():
        return [glob for glob in found
                if sum(one["state"] == "fails" for one in found[glob]) >= mutant.needed]

    for globs in groups.values():
        for _ in range(mutant.runs):
            if mutant.runs > 1 and failing():
                break
            raw = boot(options, options.results / mutant.name / f"boot{len(states) + 1}", globs[0])
            seconds += raw[1]["seconds"]
            judged = {glob: judge(*raw, glob) for glob in globs}
            for glob, one in judged.items():
                found.setdefault(glob, []).append(one)
            states.append(worst(judged.values())["state"])
    killers = failing()
    if len(killers) == len(wanted) or (mutant.runs > 1 and killers):
        what, decisive = "killed", worst(found[killers[0]])
        tests = decisive["tests"]
    else:
        missing = [glob for glob in wanted if glob not in killers]
        decisive = worst(one for glob in missing for one in found[glob] if one["state"] != "fails")
        what = {"crashes": "crash only", "absent": "no such test"}.get(decisive["state"], "survived")
        tests = decisive["tests"] if what == "crash only" else missing
    return record(options, mutant, what, decisive["lines"], tests,
                  build=building, guest=round(seconds, 1), runs=states)


def worst(found):
    return min(found, key=lambda one: STATES.index(one["state"]))


# ----------------------------------------------------------------------- reports

def row(outcome):
    tests, lines = outcome["tests"], outcome["lines"]
    if outcome["verdict"] in ("killed", "crash only") and tests:
        text = tests[0] + (f" and {len(tests) - 1} more" if len(tests) > 1 else "")
    elif outcome["verdict"] == "survived":
        text = "passed: " + ", ".join(tests)
    else:
        text = "; ".join(lines[:2])
    took = "  kept" if outcome["kept"] else f"{outcome['seconds']:4.0f} s"
    return f"{outcome['verdict']:14} {took}  {outcome['name']:34} {text}"


def summary(options):
    the_plan = plan(options.results)
    outcomes, missing = [], []
    for name in the_plan["mutants"]:
        path = options.results / name / "outcome.json"
        if path.exists():
            outcomes.append(json.loads(path.read_text()))
        else:
            missing.append(name)
    counts = {what: sum(o["verdict"] == what for o in outcomes)
              for what in ("killed", *BAD, not_here(the_plan))}
    (options.results / "result.json").write_text(json.dumps({
        **{key: the_plan[key] for key in ("key", "config", "arch", "base")}, "counts": counts,
        "not_run": missing, "mutants": outcomes}, indent=1) + "\n")
    (options.results / "table").write_text("".join(row(o) + "\n" for o in outcomes))
    bad = [o for o in outcomes if o["verdict"] in BAD]
    if bad:
        print("Not killed:")
    for outcome in bad:
        print(f"  {row(outcome).rstrip()}\n    {outcome['brings_back']}: {outcome['subject']}")
        for line in outcome["lines"]:
            print(f"      {line.rstrip()}")
    reused = sum(o["kept"] for o in outcomes)
    text = f"{len(outcomes)} mutants" + (f" ({reused} kept)" if reused else "") + ": " + (
        ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "nothing to run")
    if missing:
        text += f", {len(missing)} not run"
    print(f"{counts['killed']} passed, {len(bad)} failed")
    (options.results / "summary").write_text(text + "\n")
    classes = {BAD[o["verdict"]] for o in bad}
    return next((exit_codes()[kind] for kind in ("apply", "build", "test") if kind in classes), 0)


def show(options):
    for mutant in selected(options)[0]:
        print(f"{mutant.name:34} {mutant.brings_back}: {mutant.subject}")
        for glob in mutant.globs:
            print(f"{'':34}   {glob}" + (f" ({mutant.needed} of {mutant.runs} boots)"
                                        if mutant.runs > 1 else ""))


# ----------------------------------------------------------------------- refresh

# As for the series, but without blob ids, which change whenever a file does.
DIFF = ["diff-tree", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/",
        "--dst-prefix=b/", "--diff-algorithm=histogram", "--indent-heuristic", "--no-renames"]
CONTEXT, MOST_CONTEXT = 3, 40


def put(git, mutant):
    """Apply it to git's index, exactly or with less context: how it went, or None."""
    for context in (None, 2, 1):
        less = [] if context is None else [f"-C{context}"]
        result = git.run("apply", "--cached", "-v", "--whitespace=nowarn", *less, str(mutant.path),
                         check=False, LC_ALL="C")
        if not result.returncode:
            return "" if context is None else f"fuzz: only {context} lines of context match, look at it"
    return None


def exported(git, mutant, head, tree):
    """Its diff, with as much context as says where each hunk belongs."""
    for context in range(CONTEXT, MOST_CONTEXT + 1):
        text = git.run(*DIFF, f"--unified={context}", head, tree).stdout.decode()
        mutant.diff = "".join(line for line in text.splitlines(True) if not line.startswith("index "))
        mutant.hunks = list(hunks(mutant.diff))
        if not mutant.out_of_place(git, head):
            break
    return (mutant.head + mutant.diff).encode()


def refresh(options):
    failed, changed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        clean, index = pathlib.Path(scratch, "clean"), pathlib.Path(scratch, "index")
        Git(options.repo, GIT_INDEX_FILE=str(clean)).run("read-tree", options.head)
        git = Git(options.repo, GIT_INDEX_FILE=str(index))
        for mutant in load():
            shutil.copy(clean, index)
            how = put(git, mutant)
            if how is None:
                failed.append(mutant.name)
                print(f"       {mutant.name}: does not apply, not even with fuzz")
                continue
            if how:
                print(f"       {mutant.name}: {how}")
            if write(mutant.path, exported(git, mutant, options.head, git.text("write-tree"))):
                changed += 1
                print(f"       wrote kunit/mutants/{mutant.path.name}")
    if not changed:
        print("       nothing to change")
    if failed:
        raise Failure("apply", f"{len(failed)} mutants do not apply, first: {failed[0]}",
                      "make their change again by hand, at the same place of the new code")


# -------------------------------------------------------------------------- main

def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name, function, *positional):
        added = verbs.add_parser(name)
        added.set_defaults(function=function)
        for argument, kind in positional:
            added.add_argument(argument, type=kind)
        return added

    results, name = ("results", pathlib.Path), ("name", str)
    for one in (verb("list", show), verb("select", select, results, ("key", str))):
        one.add_argument("--only", action="append")
        one.add_argument("--part")
        one.add_argument("--config", default="reference")
        one.add_argument("--arch", default=FULL)
        one.add_argument("--changed", action="store_true")
        one.add_argument("--again", action="store_true")
    placed = verb("apply", apply, results, name, ("repo", str))
    unbuilt = verb("broken", broken, results, name, ("log", pathlib.Path))
    unchanged = verb("same", same, results, name)
    tried = verb("try", attempt, results, name)
    unmutated = verb("base", base, results)
    for one in (placed, unbuilt, unchanged, tried):
        one.add_argument("--since", type=float, default=time.time())
    for one in (tried, unmutated):
        one.add_argument("--tree", required=True)
        one.add_argument("--silent", type=float, default=SILENT)
        one.add_argument("qemu", nargs="+")
    verb("summary", summary, results)
    verb("refresh", refresh, ("repo", str), ("head", str))
    return parser.parse_args()


def run():
    options = arguments()
    return options.function(options) or 0


if __name__ == "__main__":
    main(run)
