# SPDX-License-Identifier: GPL-2.0
"""The suites on each architecture of scripts/gup/arch.py, or on those that are named: mm/gup.c
compiled with W=1, the size of gup.o with and without the series, and, where there is an emulator and the suites
fit, a kernel without a warning of the compiler and a guest with them. A cell whose sources, configuration and tools are as they were is not run again. With --write
Documentation/reach.md gets the table.

Results: build/matrix/NAME/.
"""

import json
import pathlib
import re
import subprocess
import sys

from gup import arch, cli, documents, guest, ktap, lacks, results, series, source, splat, verdict
from gup.cli import BUILD, ROOT, End, Failure
from gup.kernel import Kernel, digest
from gup.packages import need
from gup.series import Selection
from gup.workspace import Workspace

EXCLUDE = ("--write --cell --one --arch",)
FOLDER = BUILD / "matrix"
# Which architecture has what a walk depends on: read from the .config of the cell, and for what is
# no option, from a macro that mm/gup.c or its headers ask for.
PROPERTIES = {
    "GUP-fast": "HAVE_GUP_FAST", "pte_special": "ARCH_HAS_PTE_SPECIAL", "tables freed by RCU": "MMU_GATHER_RCU_TABLE_FREE",
    "contiguous entries": "ARM64_CONTPTE", "huge pages": "TRANSPARENT_HUGEPAGE", "userfaultfd-wp": "HAVE_ARCH_USERFAULTFD_WP",
    "soft-dirty": "MEM_SOFT_DIRTY"}


def options(parser):
    cli.option(parser, "--arch NAME", f"this one; may be repeated (all: {' '.join(arch.ARCHES)})", arch.named, many=True)
    cli.option(parser, "--one", "one that boots, but for x86_64 and um; the series decides which")
    cli.option(parser, "--jobs N", "cells at a time, by GNU parallel (1: a build uses all CPUs by itself)", cli.jobs, default=1)
    cli.option(parser, "--sshlogin HOST", "run cells there, in a clone with this one's path: GNU parallel's option (:,HOST: here as well)")
    cli.option(parser, "--cell NAME", "run this one, and no other: what GNU parallel is given", arch.named)
    cli.option(parser, "--write", "write Documentation/reach.md, if all of them passed")


# ------------------------------------------------------------------------------ one cell

def of(workspace, one):
    return Kernel(workspace, "reference" if one.boots else "compile", one)


def object_of(workspace, one, selection):
    """(kernel, bytes of text, warnings) of mm/gup.o with W=1 in the tree with these patches."""
    kernel = of(workspace.prepare(selection), one)
    made = kernel.make_object("mm/gup.o", "W=1")
    size = subprocess.run([kernel.arch.size, str(made)], check=True, capture_output=True, text=True).stdout
    said = [line for line in cli.text_of(kernel.out / "object.log").splitlines() if re.search(r"\bmm/gup\.c:\d+:\d+: warning:", line)]
    return kernel, int(size.splitlines()[1].split()[0]), said


def key(kernel):
    """What a cell is decided by."""
    return digest(series.Series.hash(kernel.workspace.source.base, series.Series().select(series.ALL)),
                  *results.decides(kernel, ktap, lacks, results, splat, verdict, sys.modules[__name__]),
                  lacks.of(kernel.arch.name).skipped)


def cell(one):
    """Run it, and leave build/matrix/NAME/cell.json."""
    need("fetch", "build", *one.packages)
    chosen = source.choose()
    # In a tree of its own: all headers of the other one would look new again.
    _, base, _ = object_of(Workspace(chosen, prefix=True), one, Selection(first=0))
    kernel, text, warnings = object_of(Workspace(chosen), one, series.ALL)
    found = {"key": key(kernel), "compiler": one.compiler, "base": base, "text": text, "warnings": warnings}
    config = cli.text_of(kernel.out / ".config")
    found["has"] = [what for what, option in PROPERTIES.items() if f"CONFIG_{option}=y\n" in config]
    found["page"] = page_size(one, config)
    (FOLDER / one.name).mkdir(parents=True, exist_ok=True)
    if one.unfit or not one.boots:
        cli.save(FOLDER / one.name / "cell.json", found)
        return "compiles"
    kernel.build()
    found["warnings"] += [line for line in kernel.known_warnings() if re.search(r":\d+:\d+: warning:", line)]
    folder = results.new()
    kind, summary = results.boot(kernel, guest.probe(one), folder, kernel.suites())
    found |= {"verdict": kind, "summary": summary, **json.loads((folder / "result.json").read_text())["totals"]}
    cli.save(FOLDER / one.name / "cell.json", found)
    return cli.passed(kind, summary)


def page_size(one, config):
    shift = re.search(r"^CONFIG_PAGE_SHIFT=(\d+)$", config, re.M)
    if not shift:
        raise Failure("config", f"{one.name} does not say its page size", "look for PAGE_SHIFT in the .config")
    return f"{1 << int(shift[1]) - 10} KiB"


# ------------------------------------------------------------------------------ all of them

def one_of_them():
    rows = [one for one in arch.ARCHES.values() if one.boots and not one.unfit and one not in (arch.X86, arch.UM)]
    return rows[int(digest(series.SERIES)[:6], 16) % len(rows)]


def left(name):
    return json.loads(cli.text_of(FOLDER / name / "cell.json") or "{}")


def is_current(workspace, one):
    need(*one.packages)
    return left(one.name).get("key") == key(of(workspace, one))


def run(names, jobs, host=None):
    """By GNU parallel; what a cell prints is shown line by line, behind its name. From another host its
    cell.json comes back."""
    if not names:
        return
    need("parallel", *(["rsync"] if host else []))
    there = ["--sshlogin", host, "--workdir", str(ROOT), "--return", f"{FOLDER.relative_to(ROOT)}/{{}}/cell.json"] if host else []
    subprocess.run(["parallel", "--will-cite", "--line-buffer", "--tag", *there, "--jobs", str(jobs), str(ROOT / "scripts/matrix"),
                    "--cell", "{}", ":::", *names], check=False, stdin=subprocess.DEVNULL, cwd=ROOT)


def row(name):
    found = left(name)
    ran = (f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped" if "verdict" in found
           else f"compiled only: {arch.ARCHES[name].unfit}" if arch.ARCHES[name].unfit else "compiled only")
    return [name, found["page"], found["compiler"], ran, found["base"], f"+{found['text'] - found['base']}",
            *("yes" if what in found["has"] else "" for what in PROPERTIES)]


def main(options):
    if options.cell:
        return cell(options.cell)
    wanted = [one_of_them()] if options.one else options.arch or list(arch.ARCHES.values())
    workspace = Workspace(source.choose()).prepare()
    workspace.unlock()
    stale = [one.name for one in wanted if not is_current(workspace, one)]
    cli.note(f"{len(wanted) - len(stale)} of {len(wanted)} cells are as they were")
    run(stale, options.jobs, options.sshlogin)
    bad = [one.name for one in wanted if not is_current(workspace, one) or left(one.name).get("verdict", "pass") != "pass"
           or left(one.name)["warnings"]]
    for one in wanted:
        print(f"  {one.name:14} " + (left(one.name).get("summary", "compiles") if is_current(workspace, one) else "no result"))
        cli.indented(left(one.name).get("warnings", []))
    if bad:
        raise End("test", f"{len(bad)} of {len(wanted)} cells did not pass: {' '.join(bad)}")
    if options.write:
        head = f"| row | pages | compiler | suites | text of gup.o | series | {' | '.join(PROPERTIES)} |"
        documents.fill("reach.md", table=documents.table(head, map(row, arch.ARCHES), " --- |"))
    return f"{len(wanted)} cells"
