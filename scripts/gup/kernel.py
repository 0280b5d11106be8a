# SPDX-License-Identifier: GPL-2.0
"""A configuration of a prepared tree, and the kernel that it builds to.

A configuration is a folder of configs/, in which "fragments" names files of configs/fragments/;
configs/arch/NAME/ has what an architecture has in their place, its boot arguments, and "lacks": options
that it cannot have, with the reason. Beside "fragments" there may be

    over       what the fragments are merged over, allnoconfig if it is not there
    make       words for make
    targets    for make, beside the kernel
    header.h   is included before all else
    cmdline    boot arguments, beside configs/cmdline and the architecture's
    expect     lines that the console must have, as regular expressions
    arches     the architectures it is for, if not for all
    init       is run in the guest behind the suites, with "files" and "programs"
"""

import functools
import hashlib
import os
import pathlib
import re
import subprocess
import time
import types

from gup import cli, suites
from gup.arch import X86
from gup.cli import CACHE, ROOT, Failure, lines_of, note, text_of
from gup.packages import need

CONFIGS = ROOT / "configs"
FRAGMENTS = CONFIGS / "fragments"
CCACHE = {"CCACHE_DIR": str(CACHE / "ccache"), "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1",
          "CCACHE_COMPILERCHECK": "content"}
LOST = re.compile(r"^(?:WARNING: |Value requested).*\nRequested value: +(.*)\nActual value: *(.*)", re.M)  # 7.x, 6.x
NOBODY = {"KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_USER": "gup",
          "KBUILD_BUILD_HOST": "localhost", "KBUILD_BUILD_VERSION": "1"}


def names():
    return sorted(path.parent.name for path in CONFIGS.glob("*/fragments") if path.is_file())


def named(name):
    if name not in names():
        raise cli.usage(f"no configuration '{name}'", "there are: " + " ".join(names()))
    return name


def check_arch(config, architecture):
    """Is it for this architecture?"""
    if not architecture.boots:
        raise cli.usage(f"--arch {architecture.name} is only compiled, by scripts/matrix")
    known = lines_of(CONFIGS / config / "arches")
    if known and architecture.name not in known:
        raise cli.usage(f"--config {config} is for {' '.join(known)}, not for {architecture.name}")


def packages(config):
    """Groups of packages.py, beside those that every build needs."""
    return ["initramfs"] if (CONFIGS / config / "init").is_file() else []


@functools.cache
def version(program):
    """What it says of itself, for keys."""
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout


def digest(*parts):
    """Of texts, and of files and modules by what they hold."""
    found = hashlib.sha256()
    for part in parts:
        part = pathlib.Path(part.__file__) if isinstance(part, types.ModuleType) else part
        data = part.read_bytes() if hasattr(part, "read_bytes") else str(part).encode()
        found.update(b"%d " % len(data) + data)
    return found.hexdigest()


class Kernel:
    """One, in the folder "out" of the workspace."""

    def __init__(self, workspace, config="reference", arch=X86, jobs=cli.CPUS, out=None, fragments=None, leave_out=()):
        self.workspace, self.config, self.arch, self.jobs = workspace, named(config), arch, jobs
        self.tree, self.folder = workspace.tree, CONFIGS / config
        self.out = workspace.folder / "o" / (out or arch.suffix(config))
        self.image = self.out / arch.image
        self.over = " ".join(lines_of(self.folder / "over")) or "allnoconfig"
        self.targets = [self.image.name, *lines_of(self.folder / "targets")]
        self.make_words = lines_of(self.folder / "make")
        self.headers = []
        if (self.folder / "header.h").is_file():
            self.headers = sorted(CONFIGS.glob("*/header.h"))  # one may include others
            self.make_words.append(f"KCPPFLAGS=-include {self.folder}/header.h")
        self.fragments, self.left_out = [], []
        for name in [*(fragments or lines_of(self.folder / "fragments")), *arch.fragments]:
            if name in leave_out:
                continue
            path = self.own(FRAGMENTS / name)
            if not path.is_file():
                raise Failure("config", f"configs/{config}/fragments names {name}, which does not exist",
                              "restore it or remove the line")
            if self.has_needs(path):
                self.fragments.append(path)
            else:
                self.left_out.append(name)
        self.out.mkdir(parents=True, exist_ok=True)

    def own(self, path):
        """The architecture's file of this name, or the one for all."""
        own = CONFIGS / "arch" / self.arch.folder / path.name
        return own if own.is_file() else path

    def lacks(self):
        """{option: reason}: what the architecture cannot have."""
        paths = [CONFIGS / "arch" / self.arch.folder / "lacks"]
        if self.workspace.source.series:
            paths.append(self.workspace.source.series.with_name("lacks"))
        return {option: reason for path in paths for option, reason in cli.matched(
            path, r"(\w+): (\S.*)", "'OPTION: reason'")}

    def has_needs(self, fragment):
        """A fragment may be for what a patch of the series brings, and says so by
        "#NEEDS#SYMBOL", or "#NEEDS#FILE" with a slash in it; is that patch there?"""
        symbols = (self.tree / "mm/Kconfig").read_text().splitlines()
        return all((self.tree / wanted).exists() if "/" in wanted else f"config {wanted}" in symbols
                   for wanted in re.findall(r"^#NEEDS#(\S+)", fragment.read_text(), re.M))

    def suites(self, glob=None):
        """Those that must run; none where the kernel does not offer them yet."""
        found = suites.select(suites.suites(self.tree), glob)
        return [] if "suites.config" in self.left_out else found

    def boot_arguments(self):
        files = (CONFIGS / "cmdline", CONFIGS / "arch" / self.arch.folder / "cmdline", self.folder / "cmdline")
        return [word for path in files for line in lines_of(path) for word in line.split()] + [*self.arch.arguments]

    # -------------------------------------------------------------------------------- keys

    def parts(self):
        """What decides what a clean tree builds to, but for the tree."""
        return [*self.fragments, *self.headers, *sorted(self.folder.iterdir()), self.arch, self.lacks(),
                pathlib.Path(__file__), version(self.arch.compiler)]

    def tree_parts(self):
        """The tree, but for the kernel's own documentation."""
        return [line for line in self.workspace.git.lines("ls-tree", self.workspace.head)
                if not line.endswith("\tDocumentation")]

    def stamp(self):
        return digest(self.workspace.head, *self.parts())

    def config_stamp(self):
        """What decides how the fragments are merged: no need to do it again after an edit of
        a C file."""
        git, head = self.workspace.git, self.workspace.head
        of_head = [line for line in git.lines("ls-tree", "-r", head) if re.search(r"Kconfig|Makefile$|scripts/", line)]
        return digest(*self.parts(), of_head, git.text("diff", head, "--", "*Kconfig*", "*Makefile", "scripts"))

    # -------------------------------------------------------------------------------- make

    def make(self, log, *words):
        """Status. Nothing of the day, the user or the machine may get into the objects: a
        kernel can be made again to the byte, and ccache hits across trees and clones."""
        return cli.logged(
            ["make", "-C", str(self.tree), f"O={self.out}", *(f"{name}={value}" for name, value in self.arch.words.items()),
             f"CC=ccache {self.arch.compiler}", "LOCALVERSION=", *self.make_words, f"-j{self.jobs}", *words],
            log, env={**os.environ, **CCACHE, **NOBODY})

    def configure(self):
        """Merge the fragments. A .config that comes out the same keeps its time, so that make does not
        look at it again."""
        stamp, config, done = self.config_stamp(), self.out / ".config", self.out / "configured"
        if config.exists() and text_of(done) == digest(stamp, config):
            return
        cli.stage("config", f"{self.config}: {len(self.fragments)} fragments over {self.over}")
        before = (config.read_bytes(), config.stat()) if config.exists() else None
        log = self.out / "config.log"
        if cli.logged(["scripts/kconfig/merge_config.sh", *["-n"] * (self.over == "allnoconfig"), "-O", str(self.out),
                       *map(str, self.fragments)], log, cwd=self.tree,
                      env={**os.environ, **self.arch.words, "LOCALVERSION": ""}):
            cli.complain("\n".join(text_of(log).splitlines()[-10:]))
            raise Failure("config", f"merge_config.sh failed, see {log}", "look at the fragments in configs/")
        self.refuse_lost(log)
        if before and before[0] == config.read_bytes():
            os.utime(config, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
        done.write_text(digest(stamp, config))

    def refuse_lost(self, log):
        """merge_config.sh looks whether each option has survived, and warns of those that have not."""
        lost, lacks = [], self.lacks()
        for option, found in LOST.findall(text_of(log)):
            if lacks.pop(re.sub("CONFIG_(.*)=.*", r"\1", option), None) or (option.startswith("# ") and not found):
                continue  # what is wanted off may be not there: only 6.x speaks of that
            names = [path.name for path in self.fragments if f"\n{option}" in path.read_text()]
            lost.append(f"{option}, which {' and '.join(names)} wants, is {found or 'not there'}")
        wanted = "".join(map(text_of, self.fragments))
        lost += [f"configs/arch/{self.arch.folder}/lacks has {option}, which is there"
                 for option in lacks if f"CONFIG_{option}=" in wanted]
        if self.workspace.source.made_on:  # another kernel may have other options
            cli.indented([f"config: {line}" for line in lost])
            return
        for line in lost[1:]:
            cli.complain(f"error: {line}")
        if lost:
            raise Failure("config", lost[0], "look at the option's dependencies in Kconfig: "
                          "a fragment must name those as well")

    # -------------------------------------------------------------------------------- build

    def build(self):
        """Configure and make, or nothing where the same was built. Was there something to do?"""
        stamp, built, clean = self.stamp(), self.out / "built", not self.workspace.local
        if clean and self.image.exists() and text_of(built) == stamp:
            cli.stage("build", f"unchanged: {self.image}")
            return False
        built.unlink(missing_ok=True)
        need("build")
        cli.need_space(self.out, 300)
        self.configure()
        cli.stage("build", f"{' '.join(self.targets)} with {self.jobs} jobs")
        self.make_targets(clean)
        # The tree may have been edited meanwhile; then this stamp would lie.
        if clean and not self.workspace.dirty():
            built.write_text(stamp)
        return True

    def make_targets(self, clean):
        """Show the first error and where the rest is."""
        log = self.out / "build.log"
        self.keep_warnings()
        if clean:
            (self.out / "building").write_text(self.workspace.head)
        status = self.make(log, *self.targets)
        self.keep_warnings()
        if status:
            self.explain(log)
        text = text_of(log)
        warnings = self.known_warnings() if clean else [line for line in text.splitlines() if "warning:" in line]
        note(f"{len(re.findall(r'^ +(?:CC|AS) ', text, re.M))} objects compiled, {len(warnings)} warnings")

    def keep_warnings(self):
        """Collect those of the last make, finished or not, by commit. A second make compiles
        only the rest, or nothing, and so warns of less."""
        building, log = self.out / "building", self.out / "build.log"
        if not building.exists():
            return
        kept = self.out / f"warnings.{building.read_text()}"
        lines = text_of(kept).splitlines() + text_of(log).splitlines()
        kept.write_text("".join(f"{line}\n" for line in sorted({line for line in lines if "warning:" in line})))
        building.unlink()

    def known_warnings(self):
        """Of all makes of what is checked out."""
        return text_of(self.out / f"warnings.{self.workspace.head}").splitlines()

    def explain(self, log):
        """Why make failed."""
        lines = text_of(log).splitlines()
        if any("No space left on device" in line for line in lines):
            raise Failure("environment", f"the disk is full: {self.out}", "free some space and run the same command again")

        def first(pattern):
            return next((number for number, line in enumerate(lines) if re.search(pattern, line)), None)

        cause = first(r"error:|undefined reference")
        cli.complain("\n".join(lines[-5:] if cause is None else lines[cause:cause + 6]))
        what = first(r"error:|Error \d+|undefined reference|\*\*\*")
        last = next((line for line in reversed(lines) if line.strip()), "make said nothing")
        line = last if what is None else lines[what]
        raise Failure("build", line.removeprefix(f"{self.tree}/"), f"the whole log is {log}")

    def make_object(self, name, *words):
        """Configured and compiled, whatever was there before; words: more of them for make."""
        self.configure()
        made, log = self.out / name, self.out / "object.log"
        made.unlink(missing_ok=True)
        if self.make(log, *words, name):
            self.explain(log)
        return made


def remove_unused(folder, days=60):
    """The files of a folder of the cache that nobody has used for so long."""
    for path in folder.glob("*"):
        if time.time() - path.stat().st_mtime > days * 86400:
            path.unlink(missing_ok=True)
