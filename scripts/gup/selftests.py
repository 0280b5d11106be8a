# SPDX-License-Identifier: GPL-2.0
"""The kernel's own tools/testing/selftests/mm, built from the tree and run in QEMU: on the base, which
is the series before its section "batch" (without one, the kernel without the series), and on the
whole series as it is in build/tree. Passes if each test case that passes on the base is there
and passes on the series, nothing fails that did not, the kernel complains of nothing new, and each
pinned page was unpinned.

Results: build/results/<time>-selftests/ with selftests.md, result.json, and base/ and series/ with
what each guest printed: tests.log the tests, console.log the kernel.
"""

import collections
import fnmatch
import itertools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time

from gup import boot, cli, guest, initramfs, kernel, limits, results, selfcompare, series, source
from gup.cli import CACHE, Failure, note
from gup.kernel import CONFIGS, Kernel, digest
from gup.packages import need
from gup.workspace import Workspace

EXCLUDE = ("--list --markdown --again --timeout --jobs",)
LIST = CONFIGS / "selftests/tests"
# Two more CPUs than the machine may have: the tests that move pages want them.
CPUS, MEMORY = 4, "8G"

Line = collections.namedtuple("Line", "seconds place flaky text commands")


def options(parser):
    add = cli.option
    add(parser, "--list", "the tests, with their arguments (configs/selftests/tests)")
    add(parser, "--only GLOB", "only tests whose program or whole command matches; may be repeated", many=True)
    add(parser, "--markdown FILE", "write the table of counts there, as Documentation/selftests.md", cli.new_file)
    add(parser, "--again", "run the base, too, although its results are kept in the cache")
    boot.timeout_and_jobs(parser)


# ------------------------------------------------------------------------------ the list

def expand(text):
    """What "{a,b} c" stands for: ["a c", "b c"]."""
    parts = re.split(r"(\{[^}]*\})", text)
    choices = [part[1:-1].split(",") if part.startswith("{") else [part] for part in parts]
    return [" ".join("".join(words).split()) for words in itertools.product(*choices)]


def load(text):
    """[Line] of selftests.list."""
    lines, seen = [], set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split(None, 2)
        if not words:
            continue
        if len(words) != 3 or not words[0].isdigit() or not re.fullmatch(r"(tmpfs|disk)(\+1g|\+flaky)?", words[1]):
            raise Failure("internal", f"{LIST.name}, line {number}: not 'SECONDS tmpfs|disk[+1g|+flaky] COMMAND'")
        commands = expand(words[2])
        for command in commands:
            if command in seen:
                raise Failure("internal", f"{LIST.name}, line {number}: '{command}' is there twice")
            seen.add(command)
        place, flaky = words[1].removesuffix("+flaky"), words[1].endswith("+flaky")
        lines.append(Line(int(words[0]), place, flaky, " ".join(words[2].split()), commands))
    return lines


def select(lines, globs):
    """The lines with the commands that match: by program, by line or by whole command."""
    chosen = []
    for line in lines:
        commands = [command for command in line.commands
                    if not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs
                                        for name in (command, command.split()[0]))]
        if commands:
            chosen.append(line._replace(commands=commands))
    if not chosen:
        raise Failure("usage", "no test matches " + ", ".join(globs), "scripts/selftests --list shows them")
    return chosen


def plan(lines, slow=1):
    """The same as /tests of the guest: seconds, place, command."""
    return [f"{line.seconds * slow:.0f} {line.place} {command}" for line in lines for command in line.commands]


# -------------------------------------------------------------------------------- build

def remove_config(folder):
    """The one thing that is written where the sources are, and ignored there by git."""
    for path in folder.glob("local_config.*"):
        path.unlink()


def build_tests(the_kernel):
    """Their folder. Static, since the guest has no C library, and stripped, since all of them go
    into its memory."""
    tests, log, git = the_kernel.out / "selftests", the_kernel.out / "selftests.log", the_kernel.workspace.git
    folder = the_kernel.tree / "tools/testing/selftests/mm"
    stamp = digest(
        git.text("ls-tree", "-r", the_kernel.workspace.head, "--", "tools/testing/selftests", "tools/include",
                 "include/uapi", "arch/x86/include", "mm/gup_test.h"),
        git.text("diff", the_kernel.workspace.head, "--", "tools", "include", "arch/x86/include", "mm/gup_test.h"),
        pathlib.Path(__file__), kernel.version(the_kernel.arch.compiler))
    built = tests / "built"
    if cli.text_of(built) != stamp:
        cli.stage("tests", "tools/testing/selftests/mm, static")
        shutil.rmtree(tests, ignore_errors=True)
        tests.mkdir()
        try:
            remove_config(folder)
            status = the_kernel.make(log, "headers") or cli.logged(
                ["make", "-k", f"-j{the_kernel.jobs}", "-C", folder, f"OUTPUT={tests}", "ARCH=x86_64",
                 "EXTRA_CFLAGS=-static", f"KHDR_INCLUDES=-isystem {the_kernel.out}/usr/include"], log, "a")
        finally:
            remove_config(folder)
        if status:
            the_kernel.explain(log)
        for program in tests.iterdir():
            if subprocess.run(["strip", program], check=False, capture_output=True).returncode:
                program.unlink()
        built.write_text(stamp)
    for program in {command.split()[0] for line in load(LIST.read_text()) for command in line.commands}:
        if not os.access(tests / program, os.X_OK):
            raise Failure("build", f"tools/testing/selftests/mm made no {program}", f"the whole log is {log}")
    return tests


# -------------------------------------------------------------------------------- guests

def run_guest(the_kernel, machine, folder, lines, silent):
    """One guest with these tests: (class, why) as it ended."""
    folder.mkdir()
    wanted = plan(lines, limits.slowness(wall=True))
    (folder / "plan").write_text("".join(line + "\n" for line in wanted))
    tests = build_tests(the_kernel)
    initrd = initramfs.make(the_kernel, [
        "dir /mm 0755 0 0", f"file /disk.gz {initramfs.make_disk(the_kernel.out)} 0644 0 0", f"file /tests {folder}/plan 0644 0 0",
        *(f"file /mm/{name} {tests}/{name} 0755 0 0" for name in sorted({line.split()[2] for line in wanted}))])
    machine.extra = ["-serial", f"file:{folder}/tests.log"]
    command = machine.command(the_kernel.image, initramfs.boot_words(the_kernel, the_kernel.boot_arguments()), initrd)
    (folder / "qemu-cmd").write_text(shlex.join(command) + "\n")
    shutil.copy(the_kernel.out / ".config", folder)
    # A test may be silent until it ends; the guest ends tests that take too long.
    longest = max(int(line.split()[0]) for line in wanted)
    guest.run(command, folder, silent or longest + 60, folder / "tests.log")
    verdict, why = selfcompare.Guest(folder).ended()
    if why:
        note(why)
    cli.indented(cli.text_of(folder / "qemu.err").splitlines(), indent="    qemu: ")
    return verdict


def guest_of_base(the_kernel, machine, folder, lines, options, said):
    """From the cache, where the same base was run with all tests or the same ones."""
    kept = CACHE / "selftests" / digest(
        the_kernel.tree_parts(), *results.decides(the_kernel), str(machine), pathlib.Path(__file__))
    every, own = (kept / digest(plan(of))[:16] for of in (load(LIST.read_text()), lines))
    for old in () if options.again else (every, own):
        if (old / "guest.json").is_file():
            when = time.strftime("%F %T", time.localtime((old / "guest.json").stat().st_mtime))
            cli.stage("base", f"unchanged: results of {when} are kept in {old}")
            shutil.copytree(old, folder)
            # Of all tests those that are wanted now.
            (folder / "plan").write_text("".join(line + "\n" for line in plan(lines)))
            return
    the_kernel.build()
    cli.stage("base", f"{machine}; {said}")
    if run_guest(the_kernel, machine, folder, lines, options.timeout) == "pass":
        with cli.anew(own) as new:
            shutil.copytree(folder, new, dirs_exist_ok=True)


def main(options):
    lines = select(load(LIST.read_text()), options.only)
    if options.list:
        print("\n".join(command for line in lines for command in line.commands))
        return None
    need("fetch", "build", "boot", "initramfs", "selftests")
    kernels = source.choose()
    sections = [entry.section for entry in series.Series().entries]
    first = sections.index("batch") if "batch" in sections else 0
    folder = results.new()
    workspace = Workspace(kernels, prefix=True).prepare(
        series.Selection(first=first), refuse_local="is to be the base that the series is compared with")
    the_kernel = Kernel(workspace, "selftests", jobs=options.jobs)
    machine = guest.probe(the_kernel.arch)
    machine.cpus, machine.memory = CPUS, MEMORY
    said = f"the first {first} patches" if first else "no patch"
    guest_of_base(the_kernel, machine, folder / "base", lines, options, said)
    workspace.unlock()
    workspace = Workspace(kernels).prepare()  # the one that its user edits
    the_kernel = Kernel(workspace, "selftests", jobs=options.jobs)
    the_kernel.build()
    shutil.copy(the_kernel.image, folder)
    local = f" and {workspace.local}" if workspace.local else ""
    cli.stage("series", f"{machine}; all patches{local}")
    run_guest(the_kernel, machine, folder / "series", lines, options.timeout)
    cli.stage("compare", "base and series")
    # The table must not change from day to day.
    only = "".join(f" --only {glob}" for glob in options.only)
    kind, summary = selfcompare.conclude(folder, {
        "version": kernels.version, "base": said, "series": f"all {series.count()} patches{local}", "head": workspace.head,
        "accel": machine.accel, "command": f"scripts/selftests{only} --markdown Documentation/selftests.md",
        "config": "selftests"}, lines)
    if options.markdown:
        shutil.copy(folder / "selftests.md", options.markdown)
    return cli.passed(kind, f"{summary}, {machine.accel}")
