# SPDX-License-Identifier: GPL-2.0
"""Fetch the kernel, apply the series, build it, boot it in QEMU, run its KUnit suites, and say
PASS or FAIL in the last line. What is there already is reused: edit build/tree and run it
again.

Results: build/results/<time>-boot/, and build/results/latest, with result.json and junit.xml.
"""

import json

from gup import arch, cli, given, guest, limits, results, series, source
from gup import kernel as kernels
from gup.cli import End, Failure
from gup.packages import need
from gup.workspace import Workspace

EXCLUDE = ("--only --topics", "--kernel --arch --only --topics --without --config --suite --jobs --loop --keep-going")


def options(parser):
    add = cli.option
    add(parser, "--arch NAME", f"one of: {' '.join(arch.ARCHES)}. um is User Mode Linux, which runs as a program: a "
        "verdict in seconds, on less than an x86_64 kernel has (configs/arch/um)", arch.named, default=arch.X86)
    add(parser, "--tree DIR", "base: your own tree of the series' version, which is not changed; with --topics another "
        "version will do: what does not apply is merged, or left out, which is told for each patch")
    add(parser, "--only N", "exactly the first N patches, even if these hold no suite", patches)
    add(parser, "--topics LIST", "exactly these topics of the series, which are folders of patches/: um,tests are "
        "the suites on a kernel that is not mended", lambda text: tuple(cli.word(text).split(",")))
    add(parser, "--without NAME", "leave out this patch or topic; may be repeated", many=True)
    add(parser, "--config NAME", f"a configuration in configs/ (there are: {' '.join(kernels.names())})",
        kernels.named, default="reference")
    add(parser, "--suite GLOB", "run only these suites, or tests as suite.test; may be repeated", cli.glob, many=True)
    add(parser, "--kernel FILE", "run gup_contract on this kernel, which is a bzImage, Image or vmlinux, a Debian package that has one, or "
        "the name of one, as linux-image-6.1.0-50-amd64; may be repeated", given.named, many=True)
    add(parser, "--write", "with --kernel: write Documentation/kernels.md, if all ran to their end")
    timeout_and_jobs(parser)
    add(parser, "--loop N", "boot up to N times, until it does not pass (1)", cli.number(1), default=1)
    add(parser, "--keep-going", "do not stop the guest at its first warning")


def timeout_and_jobs(parser):
    cli.option(parser, "--timeout S", "stop a guest that shows no progress for S seconds "
               f"({limits.SILENT:.0f}): no line that it has not printed before, and no result. A slow machine gets more; "
               "while the guest waits for a CPU that others use, no time passes", cli.seconds)
    cli.option(parser, "--jobs N", f"compile with N jobs ({cli.CPUS})", cli.jobs, default=cli.CPUS)


def patches(text):
    """How many patches there are is known before the kernel is."""
    wanted, there = cli.number(0, 10 ** 9)(text), series.count()
    if wanted > there:
        raise cli.usage(f"--only {text}: the series has {there} patches, not {text}")
    return wanted


def main(options):
    if options.kernel:
        return given.main(options)
    if options.write:
        raise cli.usage("--write without --kernel")
    kernels.check_arch(options.config, options.arch)
    selection = series.Selection(options.only, options.topics, tuple(options.without))
    if selection.topics or selection.without:
        series.Series().select(selection)  # are there such?
    need("fetch", "build", *options.arch.packages, *kernels.packages(options.config))
    workspace = Workspace(source.choose(options.tree, selection, merge=bool(options.topics)), prefix=selection != series.ALL)
    workspace.prepare(selection)
    left_out = tell_merged(workspace)
    kernel = kernels.Kernel(workspace, options.config, options.arch, options.jobs)
    # All names are looked at before anything is built.
    wanted = [(glob, kernel.suites(glob)) for glob in options.suite or [None]]
    if not all(suites for _, suites in wanted) and selection.first is None and selection.topics is None:
        raise Failure("test", "no suite in this tree: none could run", "scripts/tree status shows the patches")
    kernel.build()
    machine = guest.probe(options.arch)
    for number in range(1, options.loop + 1):
        once(kernel, machine, wanted, options, f"{number} of {options.loop}: " if options.loop > 1 else "")
    if left_out:
        raise End("apply", f"{len(left_out)} patches were left out, see above")


def tell_merged(workspace):
    """On another kernel than the series': what became of each patch. Returns those that are left out."""
    if not workspace.source.made_on:
        return []
    found = json.loads(workspace.merged.read_text())["found"]
    cli.indented([f"{name}: {how}" for name, how in found.items()])
    return [name for name, how in found.items() if how.startswith("left out")]


def once(kernel, machine, wanted, options, which):
    """A guest for each --suite."""
    bad = None
    for glob, suites in wanted:
        kind, summary = results.boot(kernel, machine, results.new(), suites, glob, keep_going=options.keep_going,
                                     silent=options.timeout)
        if kind == "pass":
            print(f"PASS: {which}{summary} ({cli.now.seconds()} s{cli.now.suffix})", flush=True)
        bad = bad or (kind != "pass" and End(kind, which + summary))
    if bad:
        raise bad
