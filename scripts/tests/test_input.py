# SPDX-License-Identifier: GPL-2.0
"""What users and machines get wrong: options, paths, line ends, a lock that others hold.

Each is told in one line before anything is fetched, installed or built. Where that line
comes first the verbs run as they are, in this repository, with an apt-get and a network
that they must not get to.
"""

import argparse
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import CODES, ROOT, SandboxTest, Verb, git, write_files  # noqa: E402
from test_fetch import MirrorTest  # noqa: E402

from gup import boot, cli, kernel, series  # noqa: E402

# (what looks at a value, good ones, bad ones)
VALUES = [
    (cli.seconds, ("1", "180", "86400"),
     ("08", "0", "00", "-1", "+1", "1.5", "0x10", "", " 1", "many", "86401", "99999999999999999999", "\u0661")),
    (cli.jobs, ("1", "4096"), ("08", "0", "00", "4097", "18446744073709551617")),
    (boot.patches, ("0", "1"), ("00", "01", "-1", "80000", "99999999999999999999")),
    (cli.glob, ("gup_fast", "gup_*.gup_cow-?", "*"),
     ("x y=z", "gup_*;", "gup_[ab]", "a,b", "a/b", "a\nb", "a\tb", "$x", "")),
    (kernel.named, ("reference", "debug"), ("fast", "ref.*", "-n", "", "cmdline", "fragments", "arch", "arch/um", ".")),
]
# (verb, arguments, what the message names)
REFUSED = [
    *[(verb, ["--timeout", "08"], ["--timeout", "'08'"])
      for verb in ("bench", "boot", "coverage", "mutants", "selftests")],
    *[(verb, ["--jobs", "00"], ["--jobs", "'00'"])
      for verb in ("bench", "boot", "check", "coverage", "mutants", "selftests")],
    ("bench", ["--runs", "00"], ["--runs", "'00'"]),
    ("boot", ["--only", "80000"], ["the series has", "not 80000"]),
    *[("boot", [option, "five"], ["the series has no section", "five"]) for option in ("--topics", "--without")],
    *[(verb, ["--suite", "x y=z"], ["--suite", "'x y=z'"]) for verb in ("boot", "coverage")],
    *[(verb, [option], [f"{option}: expected one argument"]) for verb, option in (
        ("boot", "--suite"), ("tree", "--tree"), ("check", "--part"), ("mutants", "--only"))],
    ("boot", ["--suite", "--jobs", "2"], ["--suite: expected one argument"]),
    ("boot", ["--tree", ""], ["--tree: needs a value"]),
    # What contradicts, or is there twice.
    ("boot", ["--only", "2", "--topics", "um"], ["--only and --topics"]),
    ("boot", ["--only", "1", "--only", "2"], ["--only is given twice"]),
    ("boot", ["--config", "sample", "--config", "debug"], ["--config is given twice"]),
    ("boot", ["--keep-going", "--keep-going"], ["--keep-going is given twice"]),
    ("coverage", ["--suite", "gup_a", "--suite", "gup_b"], ["--suite is given twice"]),
    ("mutants", ["--list", "--refresh"], ["--refresh and --list"]),
    ("mutants", ["--refresh", "--only", "c0*"], ["--refresh and --only"]),
    ("mutants", ["--changed", "--again"], ["--changed and --again"]),
    ("mutants", ["--part", "1/2", "--part", "2/2"], ["--part is given twice"]),
    ("selftests", ["--list", "--again"], ["--list and --again"]),
    ("check", ["--each", "--part", "1/2", "--part", "2/2"], ["--part is given twice"]),
    ("check", ["--static", "--static"], ["--static is given twice"]),
    ("check", ["--stable", "6.12", "--fixes"], ["--stable and --fixes exclude each other"]),
    ("tree", ["fetch", "apply"], ["unrecognized arguments: apply"]),
    ("tree", ["status", "--tree", "a", "--tree", "b"], ["--tree is given twice"]),
    ("contract", ["--check", "a", "b"], ["unrecognized arguments: b"]),
    ("manual", ["--check", "--check"], ["--check is given twice"]),
    ("test", ["static", "static"], ["'static' is given twice"]),
    ("forms", ["--write", "--release", "6.1"], ["--write and --release exclude each other"]),
    # What there is not.
    ("boot", ["--config", "fast"], ["'fast'", "reference"]),
    ("mutants", ["--only", "c99*"], ["no mutant matches 'c99*'"]),
    ("mutants", ["--part", "3/2"], ["--part", "3/2"]),
    ("check", ["--each", "--part", "0/2"], ["--part", "0/2"]),
    ("check", ["--part", "1/2"], ["--part is for --each"]),
    ("check", ["--stable", "5.4"], ["no patches for Linux '5.4'", "6.12"]),
    ("check", ["--tree", "."], ["--tree is for --stable"]),
    ("selftests", ["--only", "nothing*"], ["nothing*"]),
    ("selftests", ["--markdown", "/nowhere/table.md"], ["--markdown", "/nowhere/table.md"]),
    ("selftests", ["--markdown", "/"], ["--markdown"]),
    ("contract", ["/nowhere"], ["/nowhere"]),
    ("test", ["everything"], ["'everything'"]),
    ("forms", ["--release", "bookworm"], ["--release", "'bookworm'"]),
    *[(verb, ["stray"], ["stray"]) for verb in
      ("boot", "check", "coverage", "forms", "manual", "mutants", "selftests", "tree")],
]


class Place(unittest.TestCase):
    """A folder, a PATH and a cache in which nothing may be found after a run."""

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="gup-test-"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.bin, self.cache = self.top / "bin", self.top / "cache"
        self.program("apt-get", "exit 100")
        self.environment = dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}",
                                XDG_CACHE_HOME=str(self.cache), GIT_ALLOW_PROTOCOL="file")

    def program(self, name, body):
        write_files(self.bin, {name: f"#!/bin/bash\n{body}\n"})
        (self.bin / name).chmod(0o755)

    def refused(self, kind, names, script, *arguments, **environment):
        """One line of the class, which names these, and what to do; nothing began."""
        found = Verb(script.parent, script.name, arguments, dict(self.environment, **environment), self.top).result()
        self.assertEqual(found.status, CODES[kind], found.output)
        lines = found.output.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, found.output)
        self.assertTrue(lines[-1].startswith(f"FAIL({kind}): "), found.output)
        for name in names:
            self.assertIn(name, found.output)
        self.assertNotRegex(found.output, r"(?m)^\[ *\d+s\]|Traceback|unbound|installing")
        self.assertFalse(self.cache.exists(), found.output)

    def copy(self, folder):
        """The repository's scripts in another place."""
        for part in ("scripts", "configs"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        return folder


class Refused(Place):
    def test_arguments(self):
        for verb, arguments, names in REFUSED:
            with self.subTest(verb=verb, arguments=arguments):
                self.refused("usage", names, ROOT / "scripts" / verb, *arguments)

    def test_values(self):
        for kind, right, wrong in VALUES:
            for value in right:
                kind(value)
            for value in wrong:
                with self.subTest(kind=kind, value=value):
                    self.assertRaises((cli.Failure, argparse.ArgumentTypeError), kind, value)

    def test_a_repository_in_a_folder_that_make_refuses(self):
        for folder in ("with a space", "with:colon"):
            repo = self.copy(self.top / folder)
            for verb, *words in (("boot",), ("tree", "fetch")):
                self.refused("environment", [folder, "space or a colon"], repo / "scripts" / verb, *words)

    def test_a_cache_without_a_place(self):
        self.refused("environment", ["XDG_CACHE_HOME", "absolute"], ROOT / "scripts/boot", XDG_CACHE_HOME="cache")


class Paths(MirrorTest):
    WITH_SERIES = True

    def test_spaces_in_tree_and_cache(self):
        spaced = self.top / "my cache"
        self.cache.parent.rename(spaced)
        self.cache = spaced / "gup-series"
        self.environment["XDG_CACHE_HOME"] = str(spaced)
        self.offer("trixie-backports")
        self.good("tree", "fetch")
        self.assertIn("Debian package", (self.cache / "linux.git/origin").read_text())
        kernel = self.kernel.rename(self.top / "my kernel, 7.3")
        git(kernel, "init", "-q")
        git(kernel, "add", "-f", "-A")
        git(kernel, "commit", "-q", "-m", "base")
        self.good("boot", "--tree", str(kernel))
        self.assertIn("my_kernel__7.3", self.result()["tree"])


class Suites(SandboxTest):
    def test_a_test_that_a_suite_has_not_is_told_before_the_build(self):
        self.good("tree", "apply")
        write_files(self.tree(), {"mm/tests/gup_gamma_kunit.c": (
            "static struct kunit_case gup_gamma_cases[] = {\n\tKUNIT_CASE(one),\n\t{}\n};\n"
            "static struct kunit_suite gup_gamma_suite = {\n\t.name = \"gup_gamma\",\n"
            "\t.test_cases = gup_gamma_cases,\n};\n")})
        result = self.bad("usage", "boot", "--suite", "gup_gamma.two",
                          names=["no test matches 'gup_gamma.two'", "in gup_gamma there are: one"])
        self.assertNotRegex(result.output, r"\] (config|build|boot) ")


class LineEnds(Place):
    def test_a_clone_on_windows_has_what_was_committed(self):
        origin, clone = self.top / "origin", self.top / "clone"
        write_files(origin, {".gitattributes": (ROOT / ".gitattributes").read_text(),
                             "scripts/boot": "#!/bin/bash\nexit 0\n", "patches/a.patch": "From 0\n\n---\n"})
        git(self.top, "init", "-q", "origin")
        git(origin, "add", "-A")
        git(origin, "commit", "-q", "-m", "all")
        git(self.top, "-c", "core.autocrlf=true", "clone", "-q", "origin", "clone")
        for name in ("scripts/boot", "patches/a.patch"):
            self.assertEqual((clone / name).read_bytes(), (origin / name).read_bytes())

    def test_a_patch_that_windows_wrote_is_named(self):
        patch = self.top / "a.patch"
        entry = series.Entry("a.patch", "fixes", 0, 1)
        entry.path = patch
        patch.write_bytes(b"From 0\nSubject: a\n\n---\n+a line of a file with such ends\r\n")
        self.assertIn(b"\r\n", entry.content())
        patch.write_bytes(b"From 0\r\nSubject: a\r\n\r\n---\r\n")
        with self.assertRaises(cli.Failure) as failure:
            entry.content()
        self.assertEqual(failure.exception.kind, "apply")
        self.assertIn("patches/a.patch has lines that end in CRLF", failure.exception.what)

    def test_it_is_named_before_the_fetch(self):
        repo = self.copy(self.top / "repo")
        write_files(repo, {"series": "# BASE v7.3\na.patch\n"})
        (repo / "patches").mkdir()
        (repo / "patches/a.patch").write_bytes(b"From 0\r\n")
        self.refused("apply", ["patches/a.patch", "CRLF"], repo / "scripts/tree", "apply")


class Lock(Place):
    """need() of a package whose program is not there, and after it has been installed is."""

    def need(self, **environment):
        code = (f"import sys; sys.path[0] = {str(ROOT / 'scripts')!r}\nfrom gup import cli, packages, boot\n"
                "packages.PACKAGES = {'x': 'gup-test-program:gup-test-package'}\ncli.check_places = lambda: None\n"
                "boot.main = lambda _: packages.need('x')\ncli.main('boot', [])\n")
        return subprocess.Popen([sys.executable, "-S", "-c", code], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                env=dict(self.environment, **environment))

    def test_apt_is_waited_for(self):
        """Three times another process has a lock, then it installs."""
        self.program("sleep", "")
        said = ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)",
                "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 9 (apt-get)",
                "E: Could not get lock /var/lib/dpkg/lock - open (11: Resource temporarily unavailable)")
        for number, line in enumerate(said):
            (self.top / str(number)).write_text(f"Reading package lists...\n{line}\nE: Unable to lock\n")
        self.program("apt-get", f"""cd {self.top}
for said in 0 1 2; do [ ! -f $said ] || {{ cat $said; rm $said; exit 100; }}; done
ln -s /bin/true {self.bin}/gup-test-program""")
        process = self.need()
        output, _ = process.communicate()
        self.assertEqual(process.returncode, 0, output)
        self.assertEqual(output.count("waiting"), 1, output)
        self.assertIn("/var/lib/dpkg/lock-frontend is held by process 812 (unattended-upgr)", output)
        self.assertEqual(list(self.top.glob("[012]")), [])

    def test_other_failures_are_not_waited_for(self):
        for line in ("E: Unable to locate package gup-test-package",
                     "E: Could not open lock file /var/lib/dpkg/lock - open (13: Permission denied)",
                     "E: Could not get lock /var/lib/dpkg/lock - open (5: Input/output error)"):
            self.program("apt-get", f"echo '{line}'; exit 100")
            process = self.need()
            output, _ = process.communicate()
            self.assertEqual(process.returncode, CODES["environment"], output)
            self.assertIn(line, output)
            self.assertNotIn("waiting", output)

    @unittest.skipUnless(os.access("/usr/bin/apt-get", os.X_OK), "no apt-get here")
    def test_the_real_apt_and_a_real_lock(self):
        """apt-get with a state of its own, in which there is no package; only root may lock."""
        state = self.top / "state"
        for folder in ("lists/partial", "archives/partial"):
            (state / folder).mkdir(parents=True)
        write_files(state, {"status": "", "apt.conf": "".join(f'{key} "{value}";\n' for key, value in {
            "Dir::State": state, "Dir::State::Lists": state / "lists", "Dir::State::status": state / "status",
            "Dir::Cache": state, "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::main": "/dev/null", "Dir::Etc::parts": "/dev/null"}.items())})
        (self.bin / "apt-get").unlink()
        for name in ("lock-frontend", "lists/lock"):
            with open(state / name, "w", encoding="utf-8") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX)
                process = self.need(APT_CONFIG=str(state / "apt.conf"))
                said = ""
                while "waiting" not in said:
                    line = process.stdout.readline()
                    self.assertTrue(line, said)
                    said += line
                self.assertIn(f"{state / name} is held by process {os.getpid()} (", said)
            said, _ = process.communicate()
            self.assertEqual(process.returncode, CODES["environment"], said)
            self.assertIn("Unable to locate package gup-test-package", said)


if __name__ == "__main__":
    unittest.main()
