# SPDX-License-Identifier: GPL-2.0
"""Do the tests find the bugs that they are for? Puts each seeded bug of kunit/mutants/ into the
series, builds it, boots the tests that it names, and wants them to fail. First these tests must
pass without it. Verdicts are kept in the cache; what has one for this series, configuration and
mutant is not run again.

  killed          the named tests failed: an expectation of each did not hold
  survived        a named test passed
  crash only      the kernel warned, crashed or hung in a named test that did not fail
  did not build   the mutant does not compile
  does not apply  the code around it has changed, see --refresh
  no such test    a test that it names was not run, or skipped
  fails without   a test that it names fails without the mutant as well
  not on um       no test that it names runs there, or nothing of the mutant gets into
                  that kernel: neither good nor bad

Results: build/results/<time>-mutants/, with the console of each boot.
"""

import fnmatch
import json
import os
import pathlib
import re
import time

from gup import arch, assertions, boot, cli, generated, guest, kernel, killed, ktap, limits, mutantfile, results, series
from gup import splat, verdict
from gup.cli import CACHE, Failure, note, text_of
from gup.killed import judge, kernel_glob, worst
from gup.mutantfile import load
from gup.packages import need

EXCLUDE = ("--generate --sample --assertions --refresh --list --part --changed --again --keep-going --timeout",
           "--sample --refresh --list --only --part --changed --again --keep-going --timeout",
           "--refresh --list --only --part --arch --changed --again --keep-going --timeout --jobs",
           "--list --arch --changed --again --keep-going --timeout --jobs", "--changed --again")
KEPT = CACHE / "mutants"

# Each verdict but "killed", and the class of the exit-code table that it means.
BAD = {"does not apply": "apply", "did not build": "build", "no such test": "test",
       "fails without": "test", "crash only": "test", "survived": "test"}


def options(parser):
    add = cli.option
    add(parser, "--assertions", "let each assertion of the suites in turn see the opposite of what it sees: its test must "
        "fail")
    add(parser, "--generate", "try all that the operators of gup/operators.py make of mm/gup.c and that has no verdict in "
        "Documentation/mutation/results.tsv; with --only: of these functions")
    add(parser, "--sample N", "try N of them, which must not survive where they did not then", cli.number(1))
    add(parser, "--seed TEXT", "chooses the sample; without it the series does")
    add(parser, "--list", "show the mutants, what they bring back and which tests must fail")
    add(parser, "--refresh", "write kunit/mutants/ anew after a change of the series")
    add(parser, "--only GLOB", "only mutants whose name matches; may be repeated", many=True)
    add(parser, "--part I/N", "every N-th mutant, beginning with the I-th; auto/N: I depends on the series alone, so "
        "that each state of it gets one part")
    add(parser, "--changed", "leave out the mutants that have a kept verdict (killed or survived)")
    add(parser, "--again", "run also what has a kept verdict")
    add(parser, "--keep-going", "do not stop at the first mutant that is not killed")
    add(parser, "--arch NAME", f"one of: {' '.join(arch.MUTATED)}. On um a mutant takes seconds, but not each can be "
        "tried", arch.mutated, default=arch.X86)
    boot.timeout_and_jobs(parser)


# --------------------------------------------------------------------- selecting

def selected(options):
    """Those that were asked for."""
    mutants = load()
    for glob in options.only:
        if not any(fnmatch.fnmatchcase(mutant.name, glob) for mutant in mutants):
            raise Failure("usage", f"no mutant matches '{glob}'", "scripts/mutants --list shows them")
    if options.only:
        mutants = [mutant for mutant in mutants if any(fnmatch.fnmatchcase(mutant.name, glob) for glob in options.only)]
    return series.part(mutants, options.part) if options.part else mutants


def kept(key):
    path = KEPT / f"{key}.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    os.utime(path)
    return found


def keep(key, outcome):
    kernel.remove_unused(KEPT)
    cli.write(KEPT / f"{key}.json", json.dumps(outcome, indent=1) + "\n")


# -------------------------------------------------------------------------- guests

def booter(the_kernel, silent):
    """What boots the tests of one glob, and returns what judge() wants to know. A guest is not
    stopped at a warning: the test behind it may still fail, and that is what counts."""
    machine = guest.probe(the_kernel.arch)
    # One filter is enough: what a mutant names is not slow.
    words = [word for word in the_kernel.boot_arguments() if not word.startswith("kunit.filter=")]

    def boot_one(folder, glob):
        folder.mkdir(parents=True)
        command = machine.command(the_kernel.image, [*words, f"kunit.filter_glob={kernel_glob(glob)}"])
        ended = guest.run(command, folder, silent)
        results.kunit_parse(the_kernel.tree, folder)
        lines = text_of(folder / "console.log").splitlines(True)
        if not any(line.strip() for line in lines):
            raise Failure("boot", f"the guest printed nothing, see {folder}/qemu.err")
        found = folder / "kunit.json"
        return lines, ended, json.loads(found.read_text()) if found.exists() else None

    return boot_one


# ----------------------------------------------------------------------- the run

class Run:
    """Some mutants, and what became of them. "boot" is what booter() returned; "key" has all that
    decides a verdict, but for the mutant."""

    def __init__(self, mutants, key, architecture, folder, again=False):
        self.mutants, self.key, self.arch, self.folder = mutants, key, architecture, folder
        self.not_here = f"not on {architecture.name}"  # the verdict on one that can tell nothing there
        self.boot, self.unmutated, self.since = None, None, 0
        found = {} if again else {mutant.name: kept(self.key_of(mutant.path)) for mutant in mutants}
        self.outcomes = {name: {**outcome, "name": name, "kept": True} for name, outcome in found.items() if outcome}
        # Those that touch the same files in a row: less to compile.
        self.missing = sorted((mutant for mutant in mutants if mutant.name not in self.outcomes),
                              key=lambda mutant: (mutant.files, mutant.name))
        runs = {}
        for mutant in self.missing:
            for glob in mutant.globs:
                runs[glob] = max(runs.get(glob, 1), mutant.runs)
        self.base = {glob: (None if again else kept(self.key_of(glob, number))) or {"glob": glob, "runs": number}
                     for glob, number in runs.items()}

    def key_of(self, *parts):
        return kernel.digest(self.key, *parts)

    def wants_base(self):
        return any("state" not in found for found in self.base.values())

    def without(self):
        """The named tests must pass without a mutant, or a failure proves nothing."""
        booted = {}
        for glob, found in self.base.items():
            if "state" in found:
                continue
            # Globs that differ in the parameter alone share their boots.
            boots = booted.setdefault(kernel_glob(glob), [])
            for run in range(found["runs"]):
                if run == len(boots):
                    number = sum(map(len, booted.values())) + 1
                    boots.append(self.boot(self.folder / f"base/{number}", glob))
                one = judge(*boots[run], glob)
                found.update(state=one["state"], lines=one["lines"])
                if one["state"] != "passes":
                    note(f"without a mutant: {glob} {one['state']}: {' '.join(one['lines'][:1])}")
                    break
            else:
                keep(self.key_of(glob, found["runs"]), found)

    def globs_here(self, mutant):
        """What of its tests runs on this architecture. On x86_64 all have to."""
        return [glob for glob in mutant.globs if self.arch is arch.X86 or self.base[glob].get("state") != "absent"]

    def unproven(self, mutant):
        """(verdict, lines) if a named test does not pass without the mutant, or cannot tell."""
        if mutant.where not in ("", self.arch.name):
            return self.not_here, [f"Where: {mutant.where}"]
        globs = self.globs_here(mutant)
        if not globs:
            return self.not_here, [line for glob in mutant.globs for line in self.base[glob]["lines"]]
        for glob in globs:
            found = self.base[glob]
            if found.get("state") == "absent":
                return "no such test", [f"Killed-by: {glob}", *found["lines"]]
            if found.get("state") != "passes":
                return "fails without", [f"Killed-by: {glob}", *found.get("lines", [])]
        return None

    def record(self, mutant, what, lines=(), tests=(), **more):
        outcome = {"name": mutant.name, "verdict": what, "subject": mutant.subject, "brings_back": mutant.brings_back,
                   "killed_by": mutant.globs, "tests": list(tests), "lines": list(lines), "kept": False,
                   "seconds": round(time.time() - self.since, 1), **more}
        if what in ("killed", "survived", self.not_here):  # the others may be the machine's fault
            keep(self.key_of(mutant.path), outcome)
        self.outcomes[mutant.name] = outcome
        print(row(outcome), flush=True)

    def put(self, mutant, git, tree):
        """Into the tree. False if there is no use in building it, which is recorded."""
        self.since = time.time()
        bad = self.unproven(mutant)
        if not bad and (misplaced := mutant.out_of_place(git, "HEAD")):
            bad = "does not apply", [misplaced, "scripts/mutants --refresh"]
        if not bad:
            applied = git.run("apply", "--index", "--whitespace=nowarn", str(mutant.path), check=False)
            if applied.returncode:
                bad = "does not apply", applied.stderr.decode().splitlines()[:2]
        if bad:
            self.record(mutant, *bad)
            return False
        if self.arch is not arch.X86:
            mutantfile.keep_line_numbers(git, tree)
        return True

    def build(self, mutant, the_kernel):
        """False as in put(). Kernels are made again to the byte: one that is the same with a mutant
        has nothing of it, which is no wonder but on x86_64."""
        log = self.folder / f"{mutant.name}.build.log"
        (the_kernel.out / "built").unlink(missing_ok=True)
        if the_kernel.make(log, the_kernel.image.name):
            cli.need_space(the_kernel.out, 100)  # the likely reason
            lines = text_of(log).splitlines()
            errors = [line for line in lines if re.search(r"error:|undefined reference|\*\*\*", line)]
            self.record(mutant, "did not build", (errors or lines[-1:])[:3])
        elif self.unmutated == kernel.digest(the_kernel.image):
            self.record(mutant, self.not_here, ["the kernel is the same without it"])
        else:
            return True
        return False

    def attempt(self, mutant):
        """Boot the named tests. Each of them has to fail; where there are more boots than one, for
        a race, one of them often enough. Globs that differ in the parameter alone share boots."""
        wanted, building = self.globs_here(mutant), round(time.time() - self.since, 1)
        groups, found, states, seconds = {}, {}, [], 0
        for glob in wanted:
            groups.setdefault(kernel_glob(glob), []).append(glob)

        def failing():
            return [glob for glob in found if sum(one["state"] == "fails" for one in found[glob]) >= mutant.needed]

        for globs in groups.values():
            for _ in range(mutant.runs):
                if mutant.runs > 1 and failing():
                    break
                raw = self.boot(self.folder / mutant.name / f"boot{len(states) + 1}", globs[0])
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
        self.record(mutant, what, decisive["lines"], tests, build=building, guest=round(seconds, 1), runs=states)

    def is_good(self, mutant):
        return self.outcomes[mutant.name]["verdict"] not in BAD

    def conclude(self):
        """Says what was found, and returns (class, summary)."""
        outcomes = [self.outcomes[mutant.name] for mutant in self.mutants if mutant.name in self.outcomes]
        missing = [mutant.name for mutant in self.mutants if mutant.name not in self.outcomes]
        counts = {what: sum(o["verdict"] == what for o in outcomes) for what in ("killed", *BAD, self.not_here)}
        cli.save(self.folder / "result.json", {
            "key": self.key, "arch": self.arch.name, "base": self.base, "counts": counts,
            "not_run": missing, "mutants": outcomes})
        (self.folder / "table").write_text("".join(row(o) + "\n" for o in outcomes))
        bad = [o for o in outcomes if o["verdict"] in BAD]
        if bad:
            print("Not killed:")
        for outcome in bad:
            print(f"  {row(outcome).rstrip()}\n    {outcome['brings_back']}: {outcome['subject']}")
            cli.indented([line.rstrip() for line in outcome["lines"]], indent="      ")
        reused = sum(o["kept"] for o in outcomes)
        text = f"{len(outcomes)} mutants" + (f" ({reused} kept)" if reused else "") + ": " + (
            ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "nothing to run")
        text += f", {len(missing)} not run" if missing else ""
        print(f"{counts['killed']} passed, {len(bad)} failed", flush=True)
        classes = {BAD[o["verdict"]] for o in bad}
        return next((kind for kind in ("apply", "build", "test") if kind in classes), "pass"), text


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


# -------------------------------------------------------------------------- the verb

def show(mutants):
    for mutant in mutants:
        print(f"{mutant.name:34} {mutant.brings_back}: {mutant.subject}")
        for glob in mutant.globs:
            print(f"{'':34}   {glob}" + (f" ({mutant.needed} of {mutant.runs} boots)" if mutant.runs > 1 else ""))


def run_all(run, the_kernel, options):
    workspace = the_kernel.workspace
    the_kernel.configure()
    if run.arch is not arch.X86 or run.wants_base():
        the_kernel.build()
    run.boot = booter(the_kernel, options.timeout or limits.SILENT)
    if run.arch is not arch.X86:
        run.unmutated = kernel.digest(the_kernel.image)
    if run.wants_base():
        cli.stage("base", "the named tests must pass without a mutant")
        run.without()
    for number, mutant in enumerate(run.missing, 1):
        cli.stage("mutant", f"{number} of {len(run.missing)}: {mutant.name}")
        workspace.drop_mutant()
        workspace.mark_mutant()
        if run.put(mutant, workspace.git, workspace.tree) and run.build(mutant, the_kernel):
            run.attempt(mutant)
        if not run.is_good(mutant) and not options.keep_going:
            break
    workspace.drop_mutant()


def main(options):
    if options.seed and not options.sample:
        raise cli.usage("--seed is for --sample")
    if options.assertions:
        return assertions.main(options)
    if options.generate or options.sample:
        return generated.generate(options) if options.generate else generated.sample(options)
    if options.refresh:
        need("fetch")
        workspace = mutantfile.prepared_tree()
        cli.stage("refresh", f"kunit/mutants/ from {workspace.tree}")
        return mutantfile.refresh(workspace.tree, workspace.head)
    mutants = selected(options)
    if options.list:
        return show(mutants)
    the_kernel = mutantfile.prepared_kernel(options)
    key = kernel.digest(the_kernel.tree_parts(), *results.decides(the_kernel, mutantfile, killed, splat, verdict, ktap),
                        pathlib.Path(__file__))
    run = Run(mutants, key, options.arch, results.new(), options.again)
    if options.changed:
        run.mutants = run.missing
    if run.missing:
        run_all(run, the_kernel, options)
    return cli.passed(*run.conclude())
