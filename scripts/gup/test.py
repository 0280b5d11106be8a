# SPDX-License-Identifier: GPL-2.0
"""What CI checks, the cheap things first. The last line says how many checks and KUnit results passed and
failed; a failed step does not stop the others.

Each time:
  static     scripts/check --static: this repository
  fetch      scripts/tree fetch: the kernel is there, or comes
  harness    scripts/tests/run.py: the scripts themselves, against small fakes
  um         scripts/boot --arch um: the whole series on User Mode Linux
  fixes      scripts/check --fixes --arch um: without each fix the tests of it fail
  generated  scripts/mutants --sample 20 --arch um: bugs that nobody chose, others for each series
  boot       scripts/boot: the whole series on x86_64
  kernel     scripts/check --kernel: the patches

One of these each time, in turn; ~/.cache/gup-series/turn has the last one:
  bench      scripts/bench: no figure is over its limit in kunit/bench-gate
  each       scripts/check --each --part auto/24: a part of the patches, another one for each series
  mutants    scripts/mutants --keep-going --part auto/45: the same of the seeded bugs
  fixes_x86  scripts/check --fixes: those that User Mode Linux cannot show
  selftests  scripts/selftests --only gup_test --only gup_longterm: those of the kernel that are about GUP
  matrix     scripts/matrix --one: another architecture, another one for each series
  sample     scripts/boot --config sample --suite gup_legacy: a driver against the manual page, and a
             program that uses it
  forms      scripts/forms --release 5.10: each old form, on an old kernel and with the series
  kunit_um   kunit.py run --kunitconfig mm/tests, as its users run it, with one CPU and with two
  kunit_x86  the same for x86_64, with its own and with our guest

Without arguments what is for each time, and the next one of the others, if there is a compiler cache; "all" is
everything.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from gup import arch, cli, counts, guest, ktap, limits, source
from gup.cli import BUILD, CACHE, CPUS, ROOT, note, wrong
from gup.counts import Checks
from gup.kernel import CCACHE
from gup.packages import need
from gup.workspace import Workspace

# As above; a step without a command has a function, and so have two that look at what scripts/boot leaves.
ALWAYS, IN_TURN = (re.findall(r"^  (\w+) ", part, re.M) for part in __doc__.split("in turn;"))
COMMANDS = dict(re.findall(r"^  (\w+) +scripts/([^:]+): ", __doc__, re.M))
NO_COUNTS = ("fetch", "selftests", "matrix", "sample")  # these are good or not
TURN = CACHE / "turn"  # which of IN_TURN was the last one
SCRIPTS = ROOT / "scripts"
LATEST = BUILD / "results/latest"


def options(parser):
    parser.add_argument("steps", nargs="*", metavar="STEP", type=step_name)


def step_name(text):
    if text not in (*ALWAYS, *IN_TURN, "all"):
        raise cli.usage(f"unknown step '{text}'")
    return text


def command(words):
    """Of scripts/."""
    name, *arguments = words.split()
    return [*[sys.executable] * name.endswith(".py"), SCRIPTS / name, *arguments]


class Steps(Checks):
    """What the steps counted, and step_NAME() of some."""

    def __init__(self):
        super().__init__()
        self.name, self.skipped, self.booted = "", 0, None  # booted: results of step boot

    def count(self, passed, failed, skipped=0):
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        if failed:
            self.failures.append(f"{self.name}: {failed} failed")

    def fail(self, what):
        self.add(f"{self.name}: {what}", [what])

    def step(self, name):
        if hasattr(self, f"step_{name}"):
            getattr(self, f"step_{name}")()
        elif name in NO_COUNTS:
            self.add(f"scripts/{COMMANDS[name]}", wrong(command(COMMANDS[name])))
        else:
            self.counted(COMMANDS[name])

    def counted(self, words):
        """Run it and adopt its last line "N passed, N failed"."""
        last = None
        with cli.started(command(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace") as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                last = re.fullmatch(r"(\d+) passed, (\d+) failed\n?", line) or last
            process.wait()
        if not last:
            self.fail(f"{words} ended with status {process.returncode} and no counts")
            return
        self.count(int(last[1]), int(last[2]))
        if process.returncode and last[2] == "0":
            self.fail(f"{words} ended with status {process.returncode}, although nothing failed")

    def boot(self, *words):
        """scripts/boot; where its results are, or None if it made none."""
        before = os.path.realpath(LATEST)
        status = cli.call([SCRIPTS / "boot", *words])
        if os.path.realpath(LATEST) == before or not (LATEST / "result.json").exists():
            self.fail(f"scripts/boot {' '.join(words)} ended with status {status} before it had a result")
            return None
        return LATEST.resolve()

    def counted_boot(self, *words):
        """All results count, those that are skipped and should not be too."""
        folder = self.boot(*words)
        if folder:
            run = json.loads((folder / "result.json").read_text())
            totals = run["totals"]
            self.booted = totals["passed"]
            self.count(totals["passed"], totals["failed"] + totals["skipped"] - len(run.get("expected_skips", [])))
            self.add("the verdict is pass", [] if run["verdict"] == "pass" else [run["verdict"]])
        return folder

    def step_um(self):
        folder = self.counted_boot("--arch", "um")
        if folder:
            self.add("no cell of Documentation/tests.md is empty on um", wrong([SCRIPTS / "contract", "--um", folder]))

    def step_boot(self):
        folder = self.counted_boot()
        if folder:
            self.add("Documentation/tests.md is current", wrong([SCRIPTS / "contract", "--check", folder]))

    def step_kunit_um(self):
        self.kunit("um", lambda path: counts.um(1, path))
        log = self.kunit("um_smp", lambda path: counts.um(2, path), "--kconfig_add", "CONFIG_SMP=y",
                         "--kernel_args", "ncpus=2", "--kernel_args", "seccomp=on")
        races = re.search(r"(?m)^( |\[.*\])* *ok \d+ gup_race_short$", cli.text_of(log))
        self.add("two CPUs came up, and there were races", [] if races else ["none in test.log"])

    def step_kunit_x86(self):
        """kunit.py's own guest has one CPU, 1 GiB and no 1 GiB pages: a suite may skip what that
        lacks. In ours there is no reason to. Both share one build: what only x86 has cannot stand in
        mm/tests/huge.config, and kunit/x86_64.py asks for it too."""
        x86 = ("--arch", "x86_64", "--kunitconfig", "mm/tests/huge.config")
        self.kunit("x86", counts.kunit, *x86, "--kconfig_add", "CONFIG_X86_USER_SHADOW_STACK=y",
                   "--kconfig_add", "CONFIG_CHECKPOINT_RESTORE=y", "--kconfig_add", "CONFIG_MEM_SOFT_DIRTY=y", may_skip=True)
        before = self.passed
        self.kunit("x86", counts.kunit, *x86, "--qemu_config", str(ROOT / "kunit/x86_64.py"))
        passed = self.passed - before - 1  # with "ended well"
        if self.booted and self.name not in " ".join(self.failures):
            self.add("kunit.py runs what scripts/boot runs", [] if passed == self.booted else [
                f"{passed} results, not {self.booted}"])

    def kunit(self, build, judge, *words, may_skip=False):
        """kunit.py as a user runs it, in a tree with the series; not build/tree, which may hold local
        changes. Returns its log of the guest."""
        workspace = Workspace(source.choose(), prefix=True).prepare()
        folder = workspace.folder / f"o/kunit-{build}"
        folder.mkdir(parents=True, exist_ok=True)
        out, log = folder / "run.json", folder / "run.log"
        for old in (out, folder / "test.log"):
            old.unlink(missing_ok=True)
        run = ["tools/testing/kunit/kunit.py", "run", "--kunitconfig", "mm/tests", *words]
        cli.stage("kunit", " ".join(run).removeprefix("tools/testing/kunit/"))
        run += ["--timeout", str(limits.scaled(900)), "--build_dir", str(folder), "--jobs", str(CPUS),
                "--make_options", "CC=ccache gcc", f"--json={out}"]
        status = cli.logged(guest.without_kvm(guest.Machine(arch.X86), run), log, cwd=workspace.tree,
                            env={**os.environ, **CCACHE}, process_group=0)
        if out.exists():
            passed, failed, skipped = judge(out)
            note(f"{passed} {failed} {skipped} (passed, failed, skipped)")
            if build.startswith("um"):
                skipped = 0  # kunit/lacks/um says why, and that is compared
            self.count(passed, failed if may_skip else failed + skipped, skipped if may_skip else 0)
            if may_skip:
                note("this guest lacks what these want: " + ", ".join(re.findall(r"\[SKIPPED\] (\w+)", cli.text_of(log))))
        console = folder / "test.log"
        said = ktap.what_was_said(cli.text_of(console).splitlines()) if status else {}
        self.add(f"{self.name}: kunit.py run ended well", [f"status {status}, see {log}", *sum(said.values(), [])[:40],
                 *cli.text_of(log).splitlines()[-15:]] if status else [], most=60)
        workspace.unlock()
        return console


def next_turn():
    """The step after the one in TURN. On a new machine the series decides, so that not all of them begin with
    the same."""
    last = cli.text_of(TURN).strip()
    if last in IN_TURN:
        return IN_TURN[(IN_TURN.index(last) + 1) % len(IN_TURN)]
    return IN_TURN[int(hashlib.sha256((ROOT / "series").read_bytes()).hexdigest()[:6], 16) % len(IN_TURN)]


def run_step(steps, name):
    """A line of the table, and whether nothing failed."""
    print(f"=== {name}", flush=True)
    steps.name = cli.now.stage = name
    began, before = time.monotonic(), (steps.passed, steps.failed, steps.skipped)
    steps.step(name)
    cli.stage_end()
    passed, failed, skipped = (now - then for now, then in zip((steps.passed, steps.failed, steps.skipped), before))
    if not passed + failed + skipped:
        steps.fail("checked nothing")
    failed = steps.failed - before[1]
    row = f"{name:8} {time.monotonic() - began:5.0f} s  {passed:5} passed {failed:3} failed {skipped:3} skipped"
    return row, not failed


def main(options):
    names, turn = options.steps, None
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise cli.usage(f"step '{twice}' is given twice")
    is_usual = not names
    if is_usual:
        # One without a compiler's cache builds enough without.
        turn = next_turn() if pathlib.Path(CCACHE["CCACHE_DIR"]).exists() else None
        names = [*ALWAYS, *[turn] * bool(turn)]
    elif names == ["all"]:
        names = ALWAYS + IN_TURN
    need("fetch", "build", "boot", "initramfs", "check", "clang", "parallel")
    steps = Steps()
    rows = [run_step(steps, name) for name in names]
    print("===")
    print("\n".join(row for row, _ in rows))
    print(f"{'total':8} {cli.now.seconds():5} s")
    for failure in steps.failures:
        print(f"FAILED: {failure}")
    if turn and rows[-1][1]:  # one that failed is not done
        cli.write(TURN, f"{turn}\n")
    if is_usual:
        this = turn or "none, without a compiler cache,"
        print(f"In turn: {this} this time, {next_turn()} next time; scripts/test all runs everything.")
    # The last line is for programs.
    print(f"{steps.passed} passed, {steps.failed} failed" + (f", {steps.skipped} skipped" if steps.skipped else ""), flush=True)
    if steps.failed:
        raise cli.End("check", "")
