# SPDX-License-Identifier: GPL-2.0
"""One guest with the suites of a built kernel, from its start to its verdict, and the folder in
build/results/ that holds all of it."""

import contextlib
import itertools
import os
import shlex
import shutil
import sys
import time

from gup import cli, guest, initramfs, limits, verdict
from gup.arch import ARCHES
from gup.cli import BUILD, Failure, lines_of, now
from gup.kernel import version

# Any taint but TEST, bit 18, is to be a panic, so no Tainted: line is waited for. The kernel
# drops the bits that it does not know, and says what is left, which the verdict looks at.
TAINT_MASK = "fffbffff"
KEPT_KERNELS = 10  # how many runs keep their kernel
KERNELS = {arch.image.rpartition("/")[2] for arch in ARCHES.values()}


def new():
    """A folder for each run, and "latest" for the last."""
    top = BUILD / "results"
    name = time.strftime(f"%Y%m%d-%H%M%S-{now.verb}")
    try:
        top.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = top / (name + f"-{number}" * (number > 1))
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                break
    except OSError as error:
        raise Failure("environment", f"cannot make {folder}", "look at the disk space and the rights of build/") from error
    link = top / f".latest.{os.getpid()}"
    link.symlink_to(folder.name)
    link.rename(top / "latest")
    # The kernels are large; those of the last runs are enough.
    for old in sorted(path for depth in ("*", "*/*") for name in KERNELS for path in top.glob(f"{depth}/{name}")
                      if not path.parent.is_symlink() and "latest" not in path.parts)[:-KEPT_KERNELS]:
        old.unlink(missing_ok=True)
    now.suffix = f", log: {folder}"
    return folder


def decides(kernel, *modules):
    """For a key: all but the tree that decides what a guest does, and what these modules make of it."""
    emulator = version(kernel.arch.emulator[0]) if kernel.arch.emulator else ""  # UML is of the kernel itself
    return [*kernel.parts(), kernel.boot_arguments(), emulator, guest, limits, initramfs, *modules]


def describe(kernel, machine, suites, glob, keep_going):
    """run.json: what was asked for, for the verdict and for whoever reads it later."""
    workspace, source = kernel.workspace, kernel.workspace.source
    return {
        "base": source.base, "origin": source.origin, "version": source.version, "series": workspace.hash,
        "selection": str(workspace.selection), "head": workspace.head, "local_changes": workspace.local,
        "config": kernel.config, "arch": kernel.arch.name, "accelerator": machine.accel,
        "accelerator_reason": machine.why, "glob": glob or "", "tree": str(kernel.tree), "out": str(kernel.out),
        "expected_lines": lines_of(kernel.folder / "expect"), "expected_suites": list(suites), "cpus": machine.cpus,
        "panic_on_taint": not keep_going}


# A shell that runs a UML. Not on the terminal, whose modes it would change; nor in our group,
# which it leaves; and ~/.uml is to go with it.
RUN_UML = """\
HOME=$(mktemp -d)
export HOME
: > "$HOME/console"	# tail may be there before the guest is
{command} < /dev/null > "$HOME/console" 2>&1 &
trap 'kill -KILL -$! 2> /dev/null; rm -rf "$HOME"' EXIT
trap exit INT TERM
tail -n +1 -s 0.1 -f --pid=$! "$HOME/console"
"""


def save(folder, run, command, kernel, initrd):
    """All that it takes to boot it again."""
    cli.save(folder / "run.json", run)
    (folder / "qemu-cmd").write_text(shlex.join(command) + "\n")
    copies = {str(kernel.image): f"./{kernel.image.name}", str(initrd): "initramfs.gz",
              f"initrd={initrd}": "initrd=initramfs.gz"}
    shutil.copy(kernel.image, folder)
    shutil.copy(kernel.out / ".config", folder)
    if initrd:
        shutil.copy(initrd, folder)
    here = shlex.join(copies.get(word, word) for word in command)
    local = f", with {run['local_changes']}" if run["local_changes"] else ""
    reproduce = folder / "reproduce"
    reproduce.write_text(
        "#!/bin/sh\n# Boots this kernel again, console on the terminal.\n"
        f"# Linux {run['version']} ({run['origin']}), series {run['series'][:12]}, head {run['head'][:12]}{local}.\n"
        f"# From source: {shlex.join([f'scripts/{now.verb}', *now.words])}\n"
        'cd "$(dirname "$0")" || exit\n' + (f"exec {here}\n" if kernel.arch.emulator else RUN_UML.format(command=here)))
    reproduce.chmod(0o755)


def kunit_parse(tree, folder, log="console.log", name="kunit"):
    """Its status tells of failed tests, which the verdict reads from the JSON. Compiling it takes
    longer than running it: git ignores what it leaves."""
    cli.logged([sys.executable, "-S", "tools/testing/kunit/kunit.py", "parse", f"--json={folder}/{name}.json",
                str(folder / log)], folder / f"{name}.txt", cwd=tree)


def boot(kernel, machine, folder, suites, glob=None, *, keep_going=False, silent=None, arguments=(), initrd=None):
    """(class, summary): one guest, in a folder that exists."""
    initrd = initrd or initramfs.make(kernel)
    words = [f"kunit.filter_glob={glob}"] if glob else []
    words += [] if keep_going else [f"panic_on_taint={TAINT_MASK}"]
    words = initramfs.boot_words(kernel, [*kernel.boot_arguments(), *words, *arguments])
    command = machine.command(kernel.image, words, initrd)
    save(folder, describe(kernel, machine, suites, glob, keep_going), command, kernel, initrd)
    cli.stage("boot", f"{machine}; suites: {' '.join(suites) or 'none'}")
    guest.run(command, folder, silent or limits.SILENT)
    cli.stage("verdict", "kunit.py parse, splats, taint")
    kunit_parse(kernel.tree, folder)
    cli.stage_end()
    kind, summary = verdict.of(folder)
    if kind != "pass" and kernel.arch.emulator:
        cli.indented(cli.text_of(folder / "qemu.err").splitlines(), indent="    qemu: ")
    return kind, summary
