# SPDX-License-Identifier: GPL-2.0
"""What does a page cost? Boots two kernels with the suite gup_bench: base, which is the series up to
the end of its section "tests", and series, which is what build/tree holds, local changes included.
QEMU counts instructions (-icount), so that the figures are the same from run to run and on each
machine. Passes if the tests do, and no figure is over its limit in kunit/bench-gate; without a section
"batch" there are no limits.

Results: build/results/<time>-bench/ with result.json, pictures, and a folder for each guest.
"""

import os
import shlex
import shutil
import subprocess

from gup import arch, benchreport, boot, cli, figures, guest, initramfs, results, series, source
from gup import walltime
from gup import kernel as kernels
from gup.cli import End, now
from gup.kernel import Kernel
from gup.packages import need
from gup.workspace import Workspace

EXCLUDE = ("--gup-test --config",)


def options(parser):
    add = cli.option
    add(parser, "--config NAME", "a configuration in configs/ (reference). In kunit-default, which takes long to "
        "build, limits are in instructions, elsewhere ratios to base", kernels.named)
    add(parser, "--growth", "also from 4 MiB to 4 GiB of memory")
    add(parser, "--gup-test", "also the kernel's own gup_test, in configuration gup-test, which is kunit-default with it")
    add(parser, "--docs", "with --growth, and write Documentation/performance.md and its pictures; with --config calls, "
        "which also measures system calls, Documentation/performance-calls.md")
    add(parser, "--wall", "time instead of instructions, with KVM if it runs a guest: medians and quartiles of guests "
        "by turns; no limits")
    add(parser, "--arch NAME", "um, with --wall: User Mode Linux, which runs on the real CPU, with locked atomics "
        "(configs/time), and with page table locks as well (configs/time-locks). With --docs, "
        "Documentation/performance-time.md, which says what that means", arch.named, default=arch.X86)
    add(parser, "--runs N", "boot each kernel N times (2; with --wall 5, of um 15)", cli.number(1))
    boot.timeout_and_jobs(parser)


def check_options(options):
    """What argparse does not know."""
    if options.config:
        kernels.check_arch(options.config, options.arch)
    if not options.arch.emulator:
        if not options.wall:
            raise cli.usage(f"--arch {options.arch.name} has no instructions, which QEMU counts: with --wall")
        if options.growth or options.gup_test:
            raise cli.usage(f"--growth and --gup-test need QEMU: without --arch {options.arch.name}")
    elif options.wall and options.docs:
        raise cli.usage("--docs is for instructions, without --wall, or for times of a real CPU, with --arch um")


def defaults(options):
    """(the configurations that are measured, how often). Of those after the first the folders of
    the results have the name."""
    if not options.arch.emulator:
        names, runs = ["time", "time-locks"], 15
    else:
        names, runs = ["gup-test" if options.gup_test else "reference"], 5 if options.wall else 2
    return [options.config] if options.config else names, options.runs or runs


# ------------------------------------------------------------------------ kernels

def build(kernel):
    """And describe it in files "text" and "locks": bytes of mm/gup.o as users have it, which is the reference
    configuration without what is for tests, and what is off by default; no user has it for UML.
    And how many of its instructions are locked, if a header of the configuration is to see to it."""
    if not kernel.build() and (kernel.out / "locks").exists():
        return kernel
    (kernel.out / "locks").unlink(missing_ok=True)
    text = locks = ""
    if kernel.arch.emulator:
        cli.stage("text", "mm/gup.o without KUnit")
        small = Kernel(kernel.workspace, jobs=kernel.jobs, out="text",
                       leave_out=("kunit.config", "suites.config"))
        sizes = subprocess.run(["size", small.make_object("mm/gup.o")], check=True, capture_output=True, text=True).stdout
        text = sizes.splitlines()[1].split()[0]
    if kernel.headers:
        locks = walltime.locks(kernel.out / "mm/gup.o")
        cli.note(f"mm/gup.o: {locks} instructions have a lock prefix")
    (kernel.out / "text").write_text(f"{text}\n")
    (kernel.out / "locks").write_text(f"{locks}\n")
    return kernel


def both_kernels(chosen, config, options):
    """Base is built in the prefix workspace, so that build/tree stays what its user made of it; in a folder
    that nothing else is built in, so that it is there as long as base is the same."""
    count = series.Series().until("tests")
    cli.stage("base", f"the first {count} patches")
    workspace = Workspace(chosen, prefix=True).prepare(
        series.Selection(first=count), refuse_local="base is to be what the series says")
    base = build(Kernel(workspace, config, options.arch, options.jobs, f"base-{options.arch.suffix(config)}"))
    workspace.unlock()
    series_kernel = build(Kernel(Workspace(chosen).prepare(), config, options.arch, options.jobs))
    base.tree = series_kernel.tree  # for kunit.py: the other one may change
    return base, series_kernel


# ------------------------------------------------------------------------- guests

def prepare_guest(options):
    """As kunit.py's guest, but that its instructions are counted: with -cpu max a page would be
    cleared by rep stosb, which counts as one for each byte."""
    machine = guest.probe(options.arch, None if options.wall else "instructions are counted, so QEMU emulates")
    machine.cpus, machine.cpu = 1, "" if machine.accel == "tcg" else "max"
    if not options.wall:
        machine.thread, machine.extra = "single", ["-icount", "shift=0,sleep=off"]
    arguments = ["kunit.filter=speed=slow"]
    if options.growth:
        arguments, machine.memory = ["kunit.filter=speed<normal"], "6G"
    return machine, arguments


def measure(kernel, folder, initrd, machine, arguments, timeout):
    """One guest, in a new folder."""
    folder.mkdir()
    kind, summary = results.boot(kernel, machine, folder, ["gup_bench"], "gup_bench", silent=timeout,
                                 arguments=arguments, initrd=initrd)
    if kind != "pass":
        log = folder / "console.log"
        figures.one_cpu(cli.text_of(log).splitlines(), log)  # worse than a failed boot
        raise End(kind, f"{folder.name}: {summary}")
    first = folder.with_name(f"{folder.name.rsplit('-', 1)[0]}-1") / kernel.image.name
    if first.exists() and first.parent != folder:  # one copy of each kernel is enough
        (folder / first.name).unlink()
        os.link(first, folder / first.name)
    for name in ("text", "locks"):
        shutil.copy(kernel.out / name, folder)
    cli.note(f"{folder.name}: {summary}")


def main(options):
    check_options(options)
    names, runs = defaults(options)
    options.growth = options.growth or (options.docs and not options.wall and names != ["calls"])
    need("fetch", "build", *options.arch.packages, *([] if options.wall else ["plot"]),
         *(group for name in names for group in kernels.packages(name)))
    chosen = source.choose()
    kernels_of = {name: both_kernels(chosen, name, options) for name in names}
    machine, arguments = prepare_guest(options)
    top = results.new()
    # By turns: what else the machine does meets all of them.
    for number in range(1, runs + 1):
        for name, pair in kernels_of.items():
            initrd = initramfs.make(pair[1])  # one for both: what the kernels differ in is not in it
            for side, kernel in zip(figures.SIDES, pair):
                folder = f"{name}-" * (name != names[0]) + side + f"-{number}" * (runs > 1)
                measure(kernel, top / folder, initrd, machine, arguments, options.timeout)
    cli.stage("report", "base and series")
    if options.wall:
        kind, summary = "pass", benchreport.report_times(top, names[1:])
    else:
        gated = any(entry.section == "batch" for entry in series.Series().entries)
        kind, summary = benchreport.report(top, benchreport.gate_of(options.config) if gated else None)
    cli.passed(kind, summary)
    if options.docs:
        benchreport.write(top, shlex.join(["scripts/bench", *now.words]))
    return summary
