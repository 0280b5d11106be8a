# SPDX-License-Identifier: GPL-2.0
"""scripts/mutants --generate: all that operators.py makes of mm/gup.c, or a sample of them.

All are in one kernel (schema.py), so one is tried by a boot of the tests that come to its place, which ends at the
first failure that a test explains (mutantjob.py). What no test told is compiled by itself: one of which the compiler
makes the same object as of the original is none, and two of which it makes the same are one. Verdicts are kept in
RESULTS by the text of the function and the change, and go with the repository: who continues tries what has none, or
was tried on other tests, the survivors first.
"""

import collections
import csv
import fnmatch
import io
import json
import random
import re
import shlex
import shutil
import subprocess
import sys
import time

from gup import arch, cli, cparse, git, guest, kernel, killed, limits
from gup import mutantfile, mutantjob, mutationreport, operators, results, schema, series, splat
from gup.cli import BUILD, ROOT, Failure, note
from gup.packages import need

FILE = "mm/gup.c"
RESULTS = ROOT / "Documentation/mutation/results.tsv"
OF_ARCH = ("", "_by", "_tests", "_object")
FIELDS = ("key", "function", "operator", "change", *(f"{name}{what}" for name in arch.MUTATED for what in OF_ARCH))
# By architecture: kunit.timeout, a 15th of which a test may take for what it begins before it is killed, which it
# tells; and how long a guest may be silent, for the reference machine (limits.py).
PATIENCE = {"um": (90, 8.0), "x86_64": (300, 60.0)}
QUICK = ("um",)  # what its own tests do not tell is given to all, which takes seconds there
TOLD = ("killed", "warned", "crashed", "hung")
URGENT = ("", "survived", "skips", "hung", "crashed", "warned", "killed")  # what is tried first when tests have changed
STEP = 100  # are booted, and then compiled
AT_ONCE = 10  # or fewer are given to a process
SAVE = 10  # seconds between two looks at RESULTS


def read(text):
    """{key: row}"""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {row["key"]: row for row in csv.DictReader(lines, dialect="excel-tab")}


class Kept:
    """RESULTS while they are made: a row for each mutant, and one of no mutant, for its object."""

    def __init__(self, subject):
        self.name, self.saved, self.tests = subject.arch.name, time.monotonic(), subject.tests()
        self.original = subject.original.key
        everyone = [subject.original, *subject.mutants]
        self.order = [mutant.key for mutant in everyone]
        self.rows = {mutant.key: blank(mutant) for mutant in everyone} | read(cli.text_of(RESULTS))
        original, field = self.rows[self.original], f"{self.name}_object"
        if original[f"{self.name}_by"] != subject.compiled_from():  # an object is one of the whole file
            same = original[field] or None
            for row in self.rows.values():  # what was the same as the original is so as long as its function is
                row[field] = mutationreport.SAME if row[field] == same else row[field]
            original.update({field: "", f"{self.name}_by": subject.compiled_from()})

    def due(self, mutants):
        """Those that these tests have not judged, but for what is known to be no program of its own. Until they do,
        what others said is kept."""
        nothing = {"none", mutationreport.SAME, self.rows[self.original][f"{self.name}_object"]} - {""}
        found = [mutant for mutant in mutants if self.rows[mutant.key][f"{self.name}_tests"] != self.tests
                 and self.rows[mutant.key][f"{self.name}_object"] not in nothing]
        return sorted(found, key=lambda mutant: URGENT.index(self.rows[mutant.key][self.name]))

    def judged(self, mutant, verdict, by):
        self.rows[mutant.key].update({self.name: verdict, f"{self.name}_by": by, f"{self.name}_tests": self.tests})

    def save(self, now=False):
        """Behind those of this architecture those that only others have. What no architecture makes goes."""
        if not now and time.monotonic() - self.saved < SAVE:
            return
        mine = (self.name, f"{self.name}_object")
        theirs = [f"{name}{what}" for name in arch.MUTATED if name != self.name for what in ("", "_object")]
        others = [key for key, row in self.rows.items() if any(row[field] for field in theirs)
                  and not any(row[field] for field in mine)]
        text = io.StringIO()
        text.write("# SPDX-License-Identifier: GPL-2.0\n")
        writer = csv.DictWriter(text, FIELDS, dialect="excel-tab", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[key] for key in dict.fromkeys([*self.order, *others]))
        cli.write(RESULTS, text.getvalue())
        self.saved = time.monotonic()


def blank(mutant):
    return dict.fromkeys(FIELDS, "") | {"key": mutant.key, "function": mutant.function, "operator": mutant.operator,
                                        "change": mutant.change}


class Subject:
    """The file in the configuration of a kernel, its mutants, and the folder from which they are tried."""

    def __init__(self, the_kernel):
        self.kernel, self.arch = the_kernel, the_kernel.arch
        self.path = the_kernel.tree / FILE
        self.text = self.path.read_text()
        self.folder = BUILD / "mutation" / self.arch.name
        self.folder.mkdir(parents=True, exist_ok=True)
        saved = cli.text_of(the_kernel.out / "mm/.gup.o.cmd").splitlines()[0].partition(" := ")[2].partition(" ; ")[0]
        self.source = cparse.Source(self.path, self.text, the_kernel.out, saved)
        self.words = [word for word in shlex.split(saved.partition(" -c -o ")[0])
                      if word != "ccache" and not word.startswith("-Wp,")]
        self.words += ["-w", "-iquote", str(self.path.parent)]
        self.see_all_functions()
        self.mutants, self.original = operators.mutants(self.source), operators.Mutant("", "", [], self.source)
        for number, mutant in enumerate([self.original, *self.mutants]):
            mutant.number = number
        self.reach = None

    def compiled_from(self):
        """What decides an object, but for the change."""
        tree = self.kernel.workspace.git.text("rev-parse", "HEAD:include", "HEAD:arch", f"HEAD:{FILE}")
        return kernel.digest(tree, kernel.version(self.arch.compiler), self.kernel.out / ".config")[:16]

    def tests(self):
        """A verdict is asked for again when these change. Other functions decide as well: a sample looks whether
        it still holds."""
        return kernel.digest(self.kernel.workspace.git.text("rev-parse", "HEAD:mm/tests"))[:8]

    def see_all_functions(self):
        """gcc says which functions it compiles."""
        listing = self.folder / "functions"
        listing.unlink(missing_ok=True)
        gcc = cli.logged([*self.words, "-aux-info", str(listing), "-fsyntax-only", str(self.path)], self.folder / "functions.log",
                   cwd=self.kernel.out)
        here = set(re.findall(rf"/\* {re.escape(str(self.path))}:\d+:.F \*/ .*?(\w+) \(", cli.text_of(listing)))
        if gcc or here != set(self.source.functions):
            raise Failure("check", f"clang and gcc differ about the functions: {' '.join(sorted(here ^ set(self.source.functions)))}",
                          "cparse.py has to see them all")

    def build(self, mutants):
        """A kernel with these, and the tree is what it was then. What nothing defines, since only a
        mutant calls it, must not keep the others from being tried."""
        workspace, log, weak = self.kernel.workspace, self.folder / "build.log", set()
        known, made = self.folder / "switched.of", kernel.digest(
            workspace.git.text("rev-parse", "HEAD^{tree}"), kernel.version(self.arch.compiler), self.kernel.out / ".config",
            schema.HEADER, schema.switched(mutants, self.text))
        if cli.text_of(known) == made and (self.folder / "switched").exists():
            return
        known.unlink(missing_ok=True)
        (self.kernel.out / "built").unlink(missing_ok=True)
        while True:
            workspace.mark_mutant()
            self.path.write_text(schema.switched(mutants, self.text, sorted(weak)))
            status = self.kernel.make(log, self.kernel.image.name)
            workspace.drop_mutant()
            missing = set(re.findall(r"gup\.c:.*undefined reference to `(\w+)'", cli.text_of(log))) - weak
            if not status or not missing:
                break
            weak |= missing
        if status:
            self.kernel.explain(log)
        shutil.copy(self.kernel.image, self.folder / "switched")
        known.write_text(made)

    def write_compile_job(self):
        """What the file includes, which is most of what the compiler reads, is compiled once."""
        headers = self.folder / "headers.h"
        cli.save(self.folder / "compile.json", {
            "folder": str(self.folder), "out": str(self.kernel.out), "path": str(self.path), "compile": self.words,
            "headers": str(headers),
            "mutants": {mutant.number: [edit[:3] for edit in mutant.edits] for mutant in [self.original, *self.mutants]}})
        (self.folder / "source.c").write_text(self.text)
        _, lines = cli.said(["nm", "--defined-only", "--format=just-symbols", str(self.kernel.out / "vmlinux")])
        (self.folder / "symbols").write_text("".join(line + "\n" for line in lines))
        headers.write_text("".join(line + "\n" for line in schema.INCLUDE.findall(self.text)))
        if cli.logged([*self.words, "-x", "c-header", "-o", f"{headers}.gch", str(headers)], self.folder / "headers.log",
                      cwd=self.kernel.out):
            raise Failure("build", f"what {FILE} includes does not compile by itself", f"see {self.folder}/headers.log")

    def unmutated(self, image, *more):
        """(results and skips, lines) of a kernel without a mutant. more: words for its command line."""
        return unmutated(self.kernel, self.folder / image, *more)


class Reach:
    """Which tests come to the place of each mutant, as a kernel of all mutants says."""

    def __init__(self, lines):
        text, counts = "\n".join(map(splat.plain, lines)), mutantjob.by_test(lines)
        tests = {int(number): name for number, name in re.findall(r"gup_test (\d+) (\S+)", text)}
        self.of, self.whole = {}, "gup_reach ends" in text and list(tests) == list(range(len(tests)))
        for first, last, chosen in re.findall(r"gup_reach (\d+)-(\d+): ([\d,-]+)", text):
            results = [counts[tests[index]] for index in indices(chosen)]
            self.of |= {str(number): [chosen, [sum(column) for column in zip(*results)]]
                        for number in range(int(first), int(last) + 1)}

    def __contains__(self, mutant):
        return str(mutant.number) in self.of


def indices(text):
    """Of a list as the kernel writes it: 3-7,9"""
    ends = [list(map(int, part.split("-"))) for part in text.split(",")]
    return [index for part in ends for index in range(part[0], part[-1] + 1)]


def boot_job(the_kernel, image, expected, first=(), tests=()):
    """What mutantjob.py has to know of a boot. first: {number: a test that is tried alone before the others};
    tests: {number: [which are enough, their results and skips]}"""
    timeout, silent = PATIENCE[the_kernel.arch.name]
    words = [*the_kernel.boot_arguments(), f"kunit.timeout={timeout}", "GUP_MUTANT"]
    return {"boot": guest.Machine(the_kernel.arch).command(image, words),
            "silent": silent, "whole": the_kernel.arch.name in QUICK, "expected": expected, "first": dict(first), "tests": dict(tests)}


def unmutated(the_kernel, image, *more):
    """(results and skips, lines of the console), all as without a mutant."""
    folder, job = results.new(), boot_job(the_kernel, image, (0, 0))
    words = [word.replace("GUP_MUTANT", " ".join(more or ["gup_mutant=0"])) for word in job["boot"]]
    ended = guest.run(words, folder, limits.SILENT)
    lines = cli.text_of(folder / "console.log").splitlines(True)
    counts = mutantjob.counts(lines)
    verdict, by = mutantjob.judge(lines, ended["end"], counts)
    if verdict != "survived" or not counts[0]:
        raise Failure("test", f"without a mutant: {verdict} {by}, see {folder}", "scripts/boot says more")
    return counts, lines


def spread(subject, what, mutants, jobs):
    """What mutantjob.py says of each, as it comes."""
    if not mutants:
        return
    numbers = subject.folder / f"{what}.numbers"
    numbers.write_text("".join(f"{mutant.number}\n" for mutant in mutants))
    known = {mutant.number: mutant for mutant in mutants}
    command = ["parallel", "--will-cite", "--jobs", str(jobs), "--line-buffer", "--arg-file", str(numbers),
               "--max-args", str(max(1, min(AT_ONCE, len(mutants) // jobs))), sys.executable, "-S", mutantjob.__file__, what, str(subject.folder), "{}"]
    with open(subject.folder / f"{what}.err", "w", encoding="utf-8") as err, \
            cli.started(command, stdout=subprocess.PIPE, stderr=err, text=True) as process:
        for line in process.stdout:
            found = json.loads(line)
            yield known.pop(found["number"]), found
        process.wait()
    if known:
        raise Failure("environment", f"{len(known)} mutants could not be tried, see {subject.folder}/{what}.err",
                      "the same command continues")


def prepared(options):
    the_kernel = mutantfile.prepared_kernel(options, "clang", "parallel")
    the_kernel.build()
    cli.stage("parse", FILE)
    subject = Subject(the_kernel)
    subject.write_compile_job()
    return subject


def boot_all(subject, mutants, jobs):
    """(mutant, verdict, by whom) of each, as it comes. Where no test comes nothing is told."""
    for mutant in mutants:
        if mutant not in subject.reach:
            yield mutant, "survived", mutationreport.UNREACHED
    for mutant, found in spread(subject, "boot", [mutant for mutant in mutants if mutant in subject.reach], jobs):
        yield mutant, found["verdict"], found["by"]


def build_switched(subject, mutants, before):
    """Their kernel, which must do what the real one does. before: {key: row}"""
    name = subject.arch.name
    cli.stage("build", f"one kernel with {len(mutants)} mutants")
    shutil.copy(subject.kernel.image, subject.folder / "plain")
    subject.build(mutants)
    plain, lines = subject.unmutated("plain")
    switched, lines = subject.unmutated("switched", "gup_mutant=-1")
    if plain != switched:
        raise Failure("test", f"{plain} results and skips without the switch, {switched} with it", "schema.py is wrong")
    subject.reach = Reach(lines)
    if not subject.reach.whole:
        raise Failure("test", "the kernel did not say which tests come to which mutant", "kunit/mutate.h should")
    note(f"{sum(mutant in subject.reach for mutant in mutants)} of {len(mutants)} are where a test comes")
    first = first_tests(mutants, before, name)
    for glob in sorted(set(first.values())):
        subject.unmutated("switched", "gup_mutant=0", f"kunit.filter_glob={glob}")  # alone it passes, too
    cli.save(subject.folder / "boot.json", boot_job(subject.kernel, subject.folder / "switched", switched, first, subject.reach.of))


def first_tests(mutants, before, name):
    """{number: what told the mutant before, or else has told most of its function}"""
    told = {key: killed.kernel_glob(row[f"{name}_by"]) for key, row in before.items() if row[name] == "killed"}
    functions = collections.defaultdict(collections.Counter)
    for key, glob in told.items():
        functions[before[key]["function"]][glob] += 1
    most = {function: counts.most_common(1)[0][0] for function, counts in functions.items()}
    found = {mutant.number: told.get(mutant.key, most.get(mutant.function)) for mutant in mutants}
    return {number: glob for number, glob in found.items() if glob}


def compile_all(subject, rows, chosen, jobs):
    """What has no object yet."""
    field = f"{subject.arch.name}_object"
    for mutant, found in spread(subject, "compile", [mutant for mutant in chosen if not rows[mutant.key][field]], jobs):
        rows[mutant.key][field] = found["object"]


# ------------------------------------------------------------------------------ the verbs

def generate(options):
    """All, into RESULTS. What was told by a test where this began must be told again."""
    need("plot")
    subject = prepared(options)
    committed = git.Git(ROOT).run("show", f"HEAD:{RESULTS.relative_to(ROOT)}", check=False).stdout.decode()
    kept, before, name = Kept(subject), read(committed), subject.arch.name
    chosen = wanted(subject, kept, options.only)
    due = kept.due(chosen)
    if due:
        build_switched(subject, chosen, kept.rows)
    for begin in range(0, len(due), STEP):
        cli.stage("mutants", f"{begin} of {len(due)}")
        judge(subject, kept, chosen, due[begin:begin + STEP], options.jobs)
    compile_all(subject, kept.rows, [subject.original, *not_told(kept, chosen)], options.jobs)
    kept.save(now=True)
    now, text = mutationreport.write_all(kept.rows)
    wrong = {key: "was killed before" for key in lost_since(before, now, name)}
    wrong |= {key: "differs from its twin" for key in mutationreport.contradictions(now, name)}
    for key, what in wrong.items():
        row = now[key]
        print(f"  {row[name]}, and {what}: {row['function']}, {row['operator']}: {row['change']}")
    return cli.passed("test" if wrong else "pass", f"{len(wrong)} verdicts are wrong, see above" if wrong else text)


def judge(subject, kept, chosen, mutants, jobs):
    """A boot takes less than the compiler does: only what no test told must be shown to be a program of its own."""
    share(subject, kept, chosen)
    for tried in boot_all(subject, differing(subject, kept.rows, kept.due(mutants)), jobs):
        kept.judged(*tried)
        kept.save()
    compile_all(subject, kept.rows, [subject.original, *not_told(kept, mutants)], jobs)
    for mutant in mutants:  # the switch may keep a loop that the compiler drops
        if kept.rows[mutant.key][f"{kept.name}_object"] == kept.rows[subject.original.key][f"{kept.name}_object"]:
            kept.judged(mutant, "survived", "")
    share(subject, kept, chosen)
    kept.save()


def not_told(kept, mutants):
    return [mutant for mutant in mutants if kept.rows[mutant.key][kept.name] not in ("killed", "warned")]


def lost_since(before, now, name):
    """Keys of what a test told before, and none does now."""
    return [key for key, row in before.items() if row[name] == "killed" and key in now and now[key][name]
            and now[key][name] not in ("killed", "warned") and now[key]["class"] not in mutationreport.DROPPED]


def wanted(subject, kept, globs):
    """What no other architecture has told."""
    found = [mutant for mutant in subject.mutants
             if not globs or any(fnmatch.fnmatchcase(mutant.function, glob) for glob in globs)]
    if not found:
        raise Failure("usage", f"--only: no function with mutants matches {' '.join(globs)}")
    others = [name for name in arch.MUTATED if name != subject.arch.name]
    return [mutant for mutant in found
            if not any(kept.rows[mutant.key][name] in ("killed", "warned") for name in others)]


def differing(subject, rows, chosen):
    """Those that are a program, not the original, and not the same as one before."""
    field = f"{subject.arch.name}_object"
    seen, found = {"none", mutationreport.SAME, rows[subject.original.key][field]} - {""}, []
    for mutant in chosen:
        if rows[mutant.key][field] not in seen:
            seen |= {rows[mutant.key][field]} - {""}
            found.append(mutant)
    return found


def share(subject, kept, chosen):
    """Those that are known to be the same program have the same verdict."""
    name, due = subject.arch.name, kept.due(chosen)
    of = {kept.rows[mutant.key][f"{name}_object"]: kept.rows[mutant.key] for mutant in chosen
          if kept.rows[mutant.key][f"{name}_tests"] == kept.tests}
    for mutant in due:
        same = kept.rows[mutant.key][f"{name}_object"]
        if same and same in of:
            kept.judged(mutant, of[same][name], of[same][f"{name}_by"])


def is_known(found, original, known, name):
    """A survivor that is no mutant, or survived when RESULTS were made."""
    same = found[f"{name}_object"] in ("none", original[f"{name}_object"])
    return same or bool(known) and known[name] in ("survived", "skips")


def sample(options):
    """Some of those that were tried, or are new. They must not survive unless they did then."""
    subject, name, known = prepared(options), options.arch.name, read(cli.text_of(RESULTS))
    seed = options.seed or series.Series.hash("", series.Series().select())[:8]
    note(f"--sample {options.sample} --seed {seed}")
    among = sorted((mutant for mutant in subject.mutants if mutant.key not in known or known[mutant.key][name]),
                   key=lambda mutant: mutant.key)
    chosen = random.Random(seed).sample(among, min(options.sample, len(among)))
    rows = {mutant.key: blank(mutant) for mutant in (subject.original, *chosen)}
    build_switched(subject, chosen, known)
    for mutant, verdict, by in boot_all(subject, chosen, options.jobs):
        rows[mutant.key].update({name: verdict, f"{name}_by": by})
    survivors = [mutant for mutant in chosen if rows[mutant.key][name] not in TOLD]
    compile_all(subject, rows, [subject.original, *survivors], options.jobs)
    new = [mutant for mutant in survivors
           if not is_known(rows[mutant.key], rows[subject.original.key], known.get(mutant.key), name)]
    for mutant in new:
        print(f"  survived: {mutant.function}, {mutant.operator}: {mutant.change}")
    print(f"{len(chosen) - len(new)} passed, {len(new)} failed", flush=True)
    text = f"{len(chosen)} of {len(among)} mutants, seed {seed}: {len(survivors)} survived, as before"
    return cli.passed("test" if new else "pass", f"{len(new)} survived that did not before" if new else text)
