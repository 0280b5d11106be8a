# SPDX-License-Identifier: GPL-2.0
"""scripts/check --kernel: what can be said of the patches without running a test.

The prefix workspace is used, so that build/tree stays what its user made of it.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess

from gup import arch, cli, litmus, litmusfile, manual, refresh, series, source
from gup.cli import CACHE, Failure, note, said, wrong
from gup.kernel import Kernel, digest
from gup.packages import need
from gup.series import PATCHES, SERIES
from gup.workspace import Workspace

# The last release of sparse (0.6.4) does not know a keyword that the kernel asks it for, and would
# be left out with a mere remark; and takes the length of a string in MODULE_INFO() for no constant.
SPARSE = "sparse -D__typeof_unqual__=__typeof__ '-D__builtin_strlen(s)=(sizeof(s)-1)'"
# FILE_PATH_CHANGES asks for a look at MAINTAINERS; check_maintainers() looks. The tree has no
# history to find a commit id in. Each for_each macro uses what it steps through more than once. A
# device tree for QEMU names a machine that no binding describes.
CHECKPATCH = ["scripts/checkpatch.pl", "--strict", "--no-signoff", "--show-types", "--no-summary", "--quiet", "--ignore",
              "FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID,MACRO_ARG_REUSE,UNDOCUMENTED_DT_STRING"]
# Where the kernel has less than in the reference configuration: what that leaves out, and the
# fragments. Code under #ifdef, and headers that come along by chance, show here. All that is
# built for User Mode Linux is built without huge pages.
SMALL = {"all that the tests can do without": ["base.config", "least.config"],
         "huge pages of hugetlb": ["base.config", "least-thp.config"]}
# Documents that are mostly references to others: alone they do not build.
LISTS = ("Documentation/core-api/index.rst", "Documentation/core-api/mm-api.rst")


class Check:
    """The series in a tree, the files that it adds and those that it modifies."""

    def __init__(self, checks, jobs):
        self.checks, self.jobs = checks, jobs
        self.workspace = Workspace(source.choose(), prefix=True).prepare()
        self.tree, self.git = self.workspace.tree, self.workspace.git
        self.base, self.head = self.workspace.source.base, self.workspace.head
        self.added, self.modified = self.touched("A"), self.touched("M")

    def touched(self, status):
        return self.git.lines("diff", "--no-renames", f"--diff-filter={status}", "--name-only", self.base, self.head)

    # ------------------------------------------------------------------------ the series

    def refresh(self):
        cli.stage("refresh", "scripts/tree refresh changes nothing")
        self.checks.run("refresh is idempotent", lambda: refresh.different(self.tree, self.base, self.head))

    def topics(self):
        """A topic can be taken alone, and left out."""
        cli.stage("topics", "each on what it stands on, and all that does not stand on it")
        the_series = series.Series()
        topics = series.Topics(the_series)
        for name in topics.needs:
            for what, chosen in (("on what it stands on", topics.on(name)), ("left out", topics.without(name))):
                patches = the_series.select(series.Selection(topics=tuple(chosen)))
                self.checks.run(f"{name} {what}", lambda patches=patches: (
                    series.apply_series(self.tree, self.base, patches), [])[1])

    def takers(self):
        """Whoever takes the series may do it by other means than ours. They get the files that
        it touches, and nothing else."""
        cli.stage("takers", "quilt, git quiltimport and git am make the same of it")
        small, wanted = (cli.temporary(self.workspace.folder / name) for name in ("small", "wanted"))
        for folder, commit, files in ((small, self.base, self.modified), (wanted, self.head, self.modified + self.added)):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            archive = self.git.run("archive", commit, *files).stdout
            subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        git = ["git", "-C", str(small), "-c", "user.name=check", "-c", "user.email=check@invalid"]
        for words in (["init", "-q", "--template="], ["add", "-f", "-A"], ["commit", "-q", "-m", "base"], ["tag", "base"]):
            subprocess.run(git + words, check=True)
        env = dict(os.environ, QUILT_PATCHES=str(PATCHES), QUILT_SERIES=str(SERIES))
        same = ["diff", "-r", "--exclude=.git", "--exclude=.pc", str(small), str(wanted)]
        quilt = ["quilt", "--quiltrc", "-"]
        self.checks.add("quilt push -a", wrong([*quilt, "push", "-a", "-q"], cwd=small, env=env) + wrong(same))
        self.checks.add("quilt pop -a", wrong([*quilt, "pop", "-a", "-q"], cwd=small, env=env) +
                        said([*git, "status", "--porcelain", "--", ":!.pc"])[1])
        for way in (["quiltimport", "--patches", str(PATCHES), "--series", str(SERIES)],
                    ["am", "-q", *(str(entry.path) for entry in series.Series().entries)]):
            for words in (["reset", "-q", "--hard", "base"], ["clean", "-fdxq"]):
                subprocess.run(git + words, check=True)
            self.checks.add(f"git {way[0]}", wrong(git + way) + wrong(same))

    def patches(self):
        """Those that were good before are not looked at again. One process for all others, which
        reads the dictionaries once."""
        cli.stage("patches", "checkpatch --strict, codespell")
        fixed = digest(self.base, pathlib.Path(__file__), subprocess.run(
            ["codespell", "--version"], check=True, capture_output=True).stdout)
        keys = {entry: CACHE / "verified" / digest(fixed, entry.path)[:40] for entry in series.Series().entries}
        fresh = [entry for entry, key in keys.items() if not key.exists()]
        self.checks.passed += len(keys) - len(fresh)
        if not fresh:
            return
        note(f"{len(fresh)} that were not good before")
        before, text = self.checks.failed, cli.scratch()
        for entry in fresh:
            # The message and the lines that are added; the lines around them are not ours.
            message, mark, diff = entry.content().decode("utf-8", "replace").partition("\ndiff --git ")
            lines = [line for line in diff.splitlines() if line.startswith("+")]
            (text / entry.name.replace("/", "-")).write_text("\n".join([message, *lines]))
        # By itself, and not by checkpatch, which takes seconds for it.
        self.checks.add("codespell patches/", wrong(["codespell", "-q", "3", "-L", "iput", str(text)]))
        # Its helper spdxcheck.py needs modules that Debian installs for Debian's own python3.
        where = {"cwd": self.tree, "env": dict(os.environ, PATH="/usr/bin:" + os.environ["PATH"])}
        good = not wrong([*CHECKPATCH, *(str(entry.path) for entry in fresh)], **where)
        for entry in fresh:  # it does not say which patch it means
            self.checks.add(f"checkpatch {entry.name}", [] if good else wrong([*CHECKPATCH, str(entry.path)], **where))
        if self.checks.failed == before:
            for entry in fresh:
                cli.write(keys[entry], "checkpatch and codespell")

    def maintainers(self):
        """get_maintainer must name somebody who maintains each new file."""
        cli.stage("people", f"get_maintainer.pl on {len(self.added)} new files")
        for name in self.added:
            _, lines = said(["scripts/get_maintainer.pl", "--no-git", "--no-git-fallback", "-f", name], cwd=self.tree)
            found = any(re.search(r"\((supporter|maintainer)", line) for line in lines)
            self.checks.add(f"MAINTAINERS: {name}", [] if found else lines or ["nobody"])

    # -------------------------------------------------------------- warnings, old and new

    # Warnings are lines without numbers, so that what the base warns of already can be told from
    # what is new.

    def only_new(self, name, base, head):
        self.checks.add(name, list((collections.Counter(head) - collections.Counter(base)).elements()))

    def kernel_doc(self):
        cli.stage("doc", "kernel-doc -Wall")
        scratch = cli.scratch()
        for name in self.added + self.modified:
            if not name.endswith((".c", ".h")):
                continue
            base = []
            if name in self.modified:
                path = scratch / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.git.run("show", f"{self.base}:{name}").stdout)
                base = self.doc_warnings(path, scratch)
            self.only_new(f"kernel-doc {name}", base, self.doc_warnings(self.tree / name, self.tree))

    def doc_warnings(self, path, top):
        # Its status tells of warnings as well.
        _, lines = said(["scripts/kernel-doc", "-none", "-Wall", str(path)], cwd=self.tree)
        if any(re.search(r"^Traceback|No such file|not found", line) for line in lines):
            raise Failure("environment", f"scripts/kernel-doc does not run: {lines[-1]}", "run it by hand")
        found = (re.match(r"(?:(?:Warning|Error): )?([^ :]+):\d+ (.*)$", line) for line in lines)
        return [f"{match[1].removeprefix(f'{top}/')}: {match[2]}" for match in found if match]

    def compilers(self):
        """Sparse and W=1 on the C files that the series touches: all warnings of new files, new
        warnings of old ones. Only what is said about these files counts, not headers'."""
        for architecture in (arch.X86, arch.UM):
            files = [name for name in self.added + self.modified if compiled_on(architecture, name)]
            objects = objects_of(files)
            if not objects:
                continue
            cli.stage("sparse", f"sparse and W=1 on {len(objects)} files, {architecture.name}")
            self.workspace.prepare()
            base, head = [], self.compiler_warnings(architecture, objects, "check-series.log")
            old = objects_of([name for name in files if name in self.modified])
            if old and any(line.startswith(tuple(f"{name}: " for name in self.modified)) for line in head):
                self.workspace.prepare(series.Selection(first=0))
                base = self.compiler_warnings(architecture, old, "check-base.log")
            for name in files:
                self.only_new(f"sparse and W=1: {name}", *([line for line in lines if line.startswith(f"{name}: ")]
                                                          for lines in (base, head)))

    def kernel(self, architecture=arch.X86, **fragments):
        kernel = Kernel(self.workspace, "reference", architecture, self.jobs, f"check-{architecture.name}", **fragments)
        kernel.configure()
        return kernel

    def compiler_warnings(self, architecture, objects, name):
        kernel = self.kernel(architecture)
        log = kernel.out / name
        for path in objects:
            (kernel.out / path).unlink(missing_ok=True)
        if kernel.make(log, "C=2", f"CHECK={SPARSE}", "W=1", *objects):
            kernel.explain(log)
        text = log.read_text(errors="replace")
        for path in objects:
            if not re.search(rf"^ +CHECK +.*{re.escape(path[:-2])}\.c$", text, re.M):
                raise Failure("environment", f"sparse did not look at {path[:-2]}.c, see {log}",
                              "run the line 'CHECK' of make V=1 by hand")
        text = re.sub(rf"(?m)^({re.escape(str(self.tree))}/|(\.\./)+tree/)", "", text)
        found = re.findall(r"^([^ :]+):\d+(?::\d+)?: ((?:warning|error): .*)$", text, re.M)
        return [f"{path}: " + re.sub(r"line \d+", "line", what) for path, what in found]

    # ------------------------------------------------------------------------ what is built

    def configurations(self):
        self.workspace.prepare()
        # All of mm/tests/ that is ours, but for what is compiled with an option only.
        tests = [f"{name[:-2]}.o" for name in self.added if re.match(r"mm/tests/.*\.c$", name)
                 and not re.search(r"_(thp|hugetlb)\.c$", name)]
        for what, fragments in SMALL.items():
            cli.stage("small", f"without {what}")
            objects = ["mm/gup.o", *(tests if "least.config" in fragments else [])]
            self.checks.run(f"compiles without {what}", lambda fragments=fragments, objects=objects: self.compile(
                self.kernel(fragments=fragments), objects))

    @staticmethod
    def compile(kernel, objects, *words):
        """Errors and warnings."""
        for name in objects:
            (kernel.out / name).unlink(missing_ok=True)
        log = kernel.out / "small.log"
        status = kernel.make(log, *words, *objects)
        found = [line for line in cli.text_of(log).splitlines() if re.search("(error|warning):", line)]
        return found or [f"status {status}, see {log}"] * bool(status)

    def manual_pages(self):
        need("manual")
        cli.stage("manual", "Documentation/man9/, and its examples with W=1")
        self.workspace.prepare()
        self.checks.run("Documentation/man9/ is current", lambda: list(manual.wrong(self.tree)))
        self.checks.run("examples of Documentation/man9/", lambda: self.examples(self.kernel(), cli.scratch()))

    @staticmethod
    def examples(kernel, folder):
        """As modules, by the kernel's own make. They have no prototypes, as they are shown."""
        names = [path.stem for path in manual.PAGES.glob("src/*.c")]
        for name in names:
            shutil.copy(manual.PAGES / f"src/{name}.c", folder)
        (folder / "Kbuild").write_text("ccflags-y := -Wno-missing-prototypes -Wno-missing-declarations\n" +
                                       "".join(f"obj-m += {name}.o\n" for name in names))
        return Check.compile(kernel, ["prepare"]) or Check.compile(
            kernel, [f"{name}.o" for name in names], "W=1", f"M={folder}")

    def litmus(self):
        """Whoever changes a function that a test models has to look at the test."""
        cli.stage("litmus", "kunit/litmus/ models what is there; gup/lkmm.py on it, and on the kernel's own tests")
        self.workspace.prepare()
        self.checks.run("functions that kunit/litmus/ models", lambda: list(litmusfile.not_modelled(self.tree)))
        self.checks.run("litmus tests of the kernel", lambda: list(litmus.misjudged(self.tree)))
        self.checks.run("kunit/litmus/", lambda: litmus.run(
            litmus.Own(litmus.files_of(self.tree)), litmus.chosen(litmusfile.load(), []), litmusfile.observed())[2])

    def documents(self):
        """With the kernel's own configuration of Sphinx, but for the extensions that the documents do
        not use: they want the whole of Documentation/. So does automarkup for a document that names a
        file of sysfs; those that have no kernel-doc go without."""
        need("sphinx")
        mine = [f"Documentation/core-api/{name}.rst" for name in ("get_user_pages", "pin_user_pages")]
        other = [name for name in self.added + self.modified if re.match(r"Documentation/.*\.rst$", name)
                 and name not in (*mine, *LISTS)]
        shown = self.sphinx("kerneldoc,automarkup", [name for name in mine if (self.tree / name).is_file()])
        self.sphinx("kerneldoc", other)
        exported = set(re.findall(r"^EXPORT_SYMBOL\w*\((\w+)\);", (self.tree / "mm/gup.c").read_text(), re.M))
        self.checks.add("get_user_pages.rst shows all functions", [
            f"{name}() has no kernel-doc there" for name in sorted(exported)
            if not re.search(rf"^\w.* \*?{name}\(", shown, re.M)])

    def sphinx(self, extensions, names):
        """These documents as text."""
        stems = [pathlib.Path(name).stem for name in names]
        cli.stage("sphinx", ", ".join(f"{stem}.rst" for stem in stems))
        folder = cli.scratch()
        for name in names:
            shutil.copy(self.tree / name, folder)
        (folder / "index.rst").write_text("Documents\n=========\n\n.. toctree::\n\n   " + "\n   ".join(stems) + "\n")
        self.checks.add(f"sphinx-build without a warning: {', '.join(stems)}", wrong(
            ["/usr/bin/sphinx-build", "-q", "-W", "--keep-going", "-b", "text", "-c", str(self.tree / "Documentation"),
             "-D", f"extensions={extensions}", "-D", f"kerneldoc_srctree={self.tree}", str(folder), str(folder / "out")],
            env=dict(os.environ, srctree=str(self.tree), PYTHONDONTWRITEBYTECODE="1")))
        return "".join(path.read_text() for path in folder.glob("out/*.txt"))


def compiled_on(architecture, name):
    """Not a program, as samples and tools/ have; and what is below arch/ where it is for, or by scripts/matrix."""
    if not name.endswith((".c", ".h")) or re.match(r"samples/.*_test\.c$|tools/", name):
        return False
    below = re.match(r"arch/(\w+)/", name)
    return below[1] == {arch.X86: "x86", arch.UM: "um"}[architecture] if below else architecture is arch.X86


def objects_of(names):
    return [f"{name[:-2]}.o" for name in names if name.endswith(".c")]


def check(checks, jobs):
    need("fetch", "build", "check")
    one = Check(checks, jobs)
    for step in (one.refresh, one.topics, one.takers, one.patches, one.maintainers, one.kernel_doc, one.compilers,
                 one.configurations, one.litmus, one.manual_pages, one.documents):
        step()
