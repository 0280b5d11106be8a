# SPDX-License-Identifier: GPL-2.0
"""A place where the real scripts can be run against small fakes.

Each Sandbox holds a copy of this repository's scripts and configs, a cache of its
own, a kernel of a few files, and a folder of fake programs that comes first in PATH.
The kernel's own merge_config.sh and kunit.py are the real ones, from the cache.
"""

import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIB = ROOT / "scripts/lib"
sys.path.insert(0, str(LIB))

import common  # noqa: E402

CODES = common.exit_codes()
REAL_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache",
                          "gup-series")

MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
EXTRAVERSION =

# What the real one does with these targets, in small.
allnoconfig:
	grep -h '^CONFIG_' $(KCONFIG_ALLCONFIG) | grep -v -w -f unknown > $(O)/.config
	cat forced >> $(O)/.config
bzImage:
	mkdir -p $(O)/mm $(O)/arch/x86/boot
	for file in mm/*.c; do echo "  CC      $$file"; $(CC) -c $$file -o $(O)/$${file%.c}.o || exit 1; done
	cat $(O)/mm/*.o > $(O)/arch/x86/boot/bzImage
mm/gup.o: always
	mkdir -p $(O)/mm
	$(CC) -c mm/gup.c -o $(O)/mm/gup.o
always:
"""
GUP_C = """\
// SPDX-License-Identifier: GPL-2.0
int gup(int nr_pages)
{
	if (nr_pages < 0)
		return -1;
	/* one */
	/* two */
	/* three */
	/* four */
	return nr_pages;
}
"""
SUITE = """\
// SPDX-License-Identifier: GPL-2.0
static struct kunit_suite gup_%(name)s_suite = {
	.name = "gup_%(name)s",
	.test_cases = gup_%(name)s_cases,
};
"""
KERNEL = {
    "Makefile": MAKEFILE,
    "mm/gup.c": GUP_C,
    "mm/memory.c": "// SPDX-License-Identifier: GPL-2.0\nint memory;\n",
    "mm/Makefile": "# SPDX-License-Identifier: GPL-2.0\nobj-y += gup.o\n",
    "unknown": "CONFIG_NOTHING\n",
    "forced": "".join(f"{line[len('#CHECK#'):]}\n" for path in sorted((ROOT / "configs").glob("*.config"))
                      for line in path.read_text().splitlines() if line.startswith("#CHECK#")),
    ".gitignore": "*.o\n",
}

# A qemu that prints $FAKE_CONSOLE, then does what $FAKE_QEMU says.
FAKE_QEMU = """\
#!/bin/sh
[ -z "$FAKE_QEMU_ERR" ] || echo "$FAKE_QEMU_ERR" >&2
[ ! -f "$FAKE_CONSOLE" ] || cat "$FAKE_CONSOLE"
case $FAKE_QEMU in
hang) exec sleep 60 ;;
*) exit "${FAKE_STATUS:-0}" ;;
esac
"""
# An apt-get that serves $FAKE_DEB; FAKE_APT=down has no network, slow takes its time.
FAKE_APT = """\
#!/bin/sh
case " $* " in
*" indextargets "*) echo "Debian Debian http://invalid.example/debian/" ;;
*" install "*) echo "E: Unable to locate package" ; exit 100 ;;
*" download "*)
	case $FAKE_APT in
	down) echo "E: Failed to fetch: Temporary failure resolving 'invalid.example'"; exit 100 ;;
	slow) exec sleep 60 ;;
	esac
	cp "$FAKE_DEB" . ;;
*) [ "$FAKE_APT" != down ] || { echo "E: Failed to fetch"; exit 100; } ;;
esac
"""

HEAD = """\
[    0.000000] Linux version 7.3.4 (gup@localhost) (gcc) #1 SMP PREEMPT
[    0.000000] panic_on_taint: bitmask=0xbffff nousertaint_mode=disabled
[    0.444000] smp: Brought up 1 node, 2 CPUs
"""
TAIL = """\
[    0.600000] reboot: Restarting system
[    0.600000] reboot: machine restart
"""


def ktap(suites, between=""):
    """KTAP of {suite: {test: "ok", "not ok" or "skip"}}, stamped like a console."""
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, (suite, tests) in enumerate(suites.items(), 1):
        lines += ["    KTAP version 1", f"    # Subtest: {suite}", f"    1..{len(tests)}"]
        for index, (test, result) in enumerate(tests.items(), 1):
            word, end = ("ok", " # SKIP no such thing") if result == "skip" else (result, "")
            lines.append(f"    {word} {index} {test}{end}")
        bad = "not ok" in tests.values()
        lines.append(f"{'not ok' if bad else 'ok'} {number} {suite}")
    return "".join(f"[    0.500000] {line}\n" for line in lines) + between


GOOD = {"gup_alpha": {"one": "ok", "two": "ok"}, "gup_beta": {"one": "ok"}}


def git(directory, *arguments, **keywords):
    """git as a user would, with an identity."""
    environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")
    for role in ("AUTHOR", "COMMITTER"):
        environment[f"GIT_{role}_NAME"] = "Test"
        environment[f"GIT_{role}_EMAIL"] = "test@invalid"
    return subprocess.run(["git", "-C", str(directory), *arguments], check=True, text=True,
                          capture_output=True, env=environment, **keywords).stdout.strip()


def write_files(directory, files):
    for name, content in files.items():
        path = pathlib.Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def real_kernel_tools(directory):
    """merge_config.sh and kunit.py, as the pristine kernel has them."""
    archive = subprocess.run(
        ["git", "-C", str(REAL_CACHE / "linux.git"), "archive", "refs/heads/base",
         "scripts/kconfig/merge_config.sh", "tools/testing/kunit"],
        check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory)


def not_in_the_background():
    """A shell starts background jobs with Ctrl-C ignored, and they hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Result:
    """What a script printed and how it ended."""

    def __init__(self, status, output):
        self.status, self.output = status, output
        self.last = output.strip().splitlines()[-1] if output.strip() else ""


class SandboxTest(unittest.TestCase):
    """setUp makes the sandbox; subclasses choose what is in it."""

    WITH_CACHE = True  # the fake kernel is in the cache already
    WITH_SERIES = True  # three patches: a fix, and two suites

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="gup-test-"))
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.repo, self.cache = self.top / "repo", self.top / "cache/gup-series"
        self.kernel, self.bin = self.top / "kernel", self.top / "bin"
        for part in ("scripts", "configs", "kunit"):
            shutil.copytree(ROOT / part, self.repo / part,
                            ignore=shutil.ignore_patterns("__pycache__"))
        write_files(self.kernel, KERNEL)
        real_kernel_tools(self.kernel)
        write_files(self.bin, {"qemu-system-x86_64": FAKE_QEMU, "apt-get": FAKE_APT})
        for program in self.bin.iterdir():
            program.chmod(0o755)
        (self.repo / "patches").mkdir()
        (self.repo / "series").write_text("# BASE v7.3\n# section: fixes\n\n# section: tests\n")
        self.environment = dict(
            os.environ, PATH=f"{self.bin}:{os.environ['PATH']}", XDG_CACHE_HOME=str(self.top / "cache"),
            FAKE_CONSOLE=str(self.top / "console"), FAKE_DEB=str(self.top / "none.deb"),
            GIT_ALLOW_PROTOCOL="file")  # so kernel.org is never asked
        self.console(GOOD)
        self.cache.mkdir(parents=True)
        boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (self.cache / "accelerator").write_text(
            f"{boot_id} {self.bin}/qemu-system-x86_64\nhangs\n")
        if self.WITH_CACHE:
            self.fill_cache()
        if self.WITH_SERIES:
            self.add_patches()

    # ------------------------------------------------------------ what is in it

    def fill_cache(self):
        pristine = self.cache / "linux.git"
        subprocess.run(["git", "init", "-q", "--bare", str(pristine)], check=True)
        tar = subprocess.run(["tar", "-C", str(self.kernel), "-cf", "-", "."], check=True,
                             capture_output=True).stdout
        commit = subprocess.run([sys.executable, str(LIB / "tar2git.py"), str(pristine)], input=tar,
                                check=True, capture_output=True).stdout.decode().strip()
        git(pristine, "update-ref", "refs/heads/base", commit)
        git(pristine, "symbolic-ref", "HEAD", "refs/heads/base")
        (pristine / "origin").write_text("the fake kernel\n")

    def make_deb(self, extra=None):
        """A package as Debian's, holding the fake kernel."""
        top = self.top / "linux-source-7.3"
        shutil.copytree(self.kernel, top)
        for name, size in (extra or {}).items():
            (top / name).write_bytes(os.urandom(size))
        package = self.top / "package"
        write_files(package, {"DEBIAN/control": (
            "Package: linux-source-7.3\nVersion: 7.3.4-1\nArchitecture: all\n"
            "Maintainer: nobody <nobody@invalid>\nDescription: fake\n")})
        (package / "usr/src").mkdir(parents=True)
        subprocess.run(["tar", "-C", str(self.top), "-cJf",
                        str(package / "usr/src/linux-source-7.3.tar.xz"), top.name], check=True,
                       env=dict(os.environ, XZ_OPT="-0"))
        deb = self.top / "linux-source-7.3_7.3.4-1_all.deb"
        subprocess.run(["dpkg-deb", "-Znone", "-b", str(package), str(deb)], check=True,
                       stdout=subprocess.DEVNULL)
        self.environment["FAKE_DEB"] = str(deb)
        return deb

    def add_patches(self):
        """A series of three, written by git itself."""
        clone = self.top / "author"
        shutil.copytree(self.kernel, clone)
        git(clone, "init", "-q")
        git(clone, "add", "-f", "-A")
        git(clone, "commit", "-q", "-m", "base")
        changes = [
            ("fix", {"mm/gup.c": GUP_C.replace("< 0", "<= 0").replace("-1", "0")},
             "mm/gup: return 0 for no pages\n\nA reason that is long enough to be called a reason.\n"),
            ("alpha", {"mm/tests/gup_alpha_kunit.c": SUITE % {"name": "alpha"}},
             "mm/gup: add the alpha suite\n\nA reason that is long enough to be called a reason.\n"),
            ("beta", {"mm/tests/gup_beta_kunit.c": SUITE % {"name": "beta"}},
             "mm/gup: add the beta suite\n\nA reason that is long enough to be called a reason.\n"),
        ]
        for name, files, message in changes:
            write_files(clone, files)
            git(clone, "add", "-f", "-A")
            git(clone, "commit", "-q", "-m", message)
            mail = git(clone, "format-patch", "--stdout", "--zero-commit", "-N", "--no-signature", "-1")
            (self.repo / f"patches/{name}.patch").write_text(mail + "\n\n")
        (self.repo / "series").write_text(
            "# BASE v7.3\n# section: fixes\nfix.patch\n\n# section: tests\nalpha.patch\nbeta.patch\n")

    def console(self, suites, head=HEAD, tail=TAIL, between=""):
        (self.top / "console").write_text(head + ktap(suites, between) + tail)

    # ---------------------------------------------------------------- running

    def script(self, verb, *arguments, **environment):
        process = subprocess.run([str(self.repo / "scripts" / verb), *arguments], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                 stdin=subprocess.DEVNULL, timeout=120,
                                 env=dict(self.environment, **environment))
        return Result(process.returncode, process.stdout)

    def good(self, verb, *arguments, **environment):
        result = self.script(verb, *arguments, **environment)
        self.assertEqual(result.status, 0, result.output)
        return result

    def bad(self, kind, verb, *arguments, names=(), **environment):
        """The verb must fail with this class, and name these things."""
        result = self.script(verb, *arguments, **environment)
        self.assertEqual(result.status, CODES[kind], result.output)
        self.assertTrue(result.last.startswith(f"FAIL({kind}): "), result.output)
        for name in names:
            self.assertIn(name, result.output)
        self.assertNotIn("Traceback", result.output)
        return result

    def interrupt(self, verb, *arguments, when, **environment):
        """Ctrl-C, to the whole process group, as soon as when() is true."""
        process = subprocess.Popen([str(self.repo / "scripts" / verb), *arguments], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   preexec_fn=not_in_the_background,
                                   env=dict(self.environment, **environment))
        end = time.monotonic() + 60
        while not when() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        # A shell that is just starting a program would leave that one running, with
        # our pipe open.
        time.sleep(0.5)
        self.assertIsNone(process.poll(), "ended before it could be interrupted")
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        result = Result(process.returncode, output)
        self.assertEqual(result.status, CODES["interrupted"], output)
        self.assertTrue(result.last.startswith("FAIL(interrupted): "), output)
        self.assertNotIn("Traceback", output)
        return result

    def result(self):
        return json.loads((self.repo / "build/results/latest/result.json").read_text())

    def tree(self):
        return self.repo / "build/tree"


def fingerprint(directory):
    """Every file, link and directory below: kind, mode, content; not access times."""
    import hashlib
    seen = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        stat = path.lstat()
        content = (os.readlink(path) if path.is_symlink()
                   else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        seen[str(path.relative_to(directory))] = (stat.st_mode, stat.st_mtime_ns, content)
    return seen
