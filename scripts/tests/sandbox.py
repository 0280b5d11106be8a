# SPDX-License-Identifier: GPL-2.0
"""A place where the real scripts can be run against small fakes.

Each sandbox holds a copy of this repository's scripts and configs, a cache of its
own, a kernel of a few files, and a folder of fake programs that comes first in PATH.
The kernel's own merge_config.sh and kunit.py are the real ones, from the cache.

What tests have in common they do not make again: prepare() of a class fills a sandbox
once for all tests, in whichever of their processes comes first, and each starts with a copy.
"""

import atexit
import compileall
import contextlib
import fcntl
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
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
compileall.compile_dir(ROOT / "scripts/gup", quiet=2)  # once, for all sandboxes

from gup import archive, verdict  # noqa: E402
from gup.cli import CODES  # noqa: E402

REAL_CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache",
                          "gup-series")



def fast_place():
    """Thousands of small files, of which none is kept: in memory, if there may be programs."""
    shm = pathlib.Path("/dev/shm")
    good = os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2 << 30 and not os.statvfs(shm).f_flag & os.ST_NOEXEC
    return shm if good else None


# All that the tests make is in here. Forks of this process leave it alone.
WORK = pathlib.Path(tempfile.mkdtemp(prefix="gup-tests-", dir=fast_place()))
atexit.register(shutil.rmtree, WORK, ignore_errors=True)


def start_of_a_program():
    start = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    return time.monotonic() - start


# Seconds, for all that could wait for ever: hundreds of times what the slowest script takes
# on this machine, beside what else it does now. No verdict of a test depends on it: it ends a
# run that would never end.
PATIENCE = 300 + 10000 * start_of_a_program()

MAKEFILE = """\
# SPDX-License-Identifier: GPL-2.0
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
EXTRAVERSION =

# What the real one does with these targets, in small.
allnoconfig:
	grep -h '^CONFIG_' $(KCONFIG_ALLCONFIG) | grep -v -w -f unknown > $(O)/.config
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
    "mm/Kconfig": "# SPDX-License-Identifier: GPL-2.0\nconfig GUP_KUNIT_TEST\n",
    "mm/tests/huge.config": "",
    "mm/Makefile": "# SPDX-License-Identifier: GPL-2.0\nobj-y += gup.o\n",
    "unknown": "CONFIG_NOTHING\n",
    ".gitignore": "*.o\n",
}

# A program that does not end by itself; but with the test that has started it.
HANG = 'tail --pid="$FAKE_TEST" -f /dev/null'

# A qemu that prints $FAKE_CONSOLE, then does what $FAKE_QEMU says.
FAKE_QEMU = f"""\
[ -z "$FAKE_QEMU_ERR" ] || echo "$FAKE_QEMU_ERR" >&2
[ ! -f "$FAKE_CONSOLE" ] || cat "$FAKE_CONSOLE"
case $FAKE_QEMU in
hang) exec {HANG} ;;
*) exit "${{FAKE_STATUS:-0}}" ;;
esac
"""
# An apt-get that serves $FAKE_DEB; FAKE_APT=down has no network, slow takes its time.
FAKE_APT = f"""\
case " $* " in
*" indextargets "*) echo "Debian Debian http://invalid.example/debian/" ;;
*" install "*) echo "E: Unable to locate package" ; exit 100 ;;
*" download "*)
	case $FAKE_APT in
	down) echo "E: Failed to fetch: Temporary failure resolving 'invalid.example'"; exit 100 ;;
	slow) exec {HANG} ;;
	esac
	cp "$FAKE_DEB" . ;;
*) [ "$FAKE_APT" != down ] || {{ echo "E: Failed to fetch"; exit 100; }} ;;
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


SHELL = "#!/bin/sh\n"


def programs(directory, bodies):
    """Shell scripts of these bodies."""
    write_files(directory, {name: SHELL + body for name, body in bodies.items()})
    for name in bodies:
        (directory / name).chmod(0o755)


def real_kernel_tools(directory):
    """merge_config.sh, kunit.py and the memory model, as the pristine kernel has them."""
    archive = subprocess.run(
        ["git", "-C", str(REAL_CACHE / "linux.git"), "archive", "refs/heads/base",
         "scripts/kconfig/merge_config.sh", ":(glob)tools/testing/kunit/*.py", "tools/testing/kunit/.gitignore",
         ":(glob)tools/memory-model/*.*"],
        check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory)


class Result:
    """What a script printed and how it ended."""

    def __init__(self, status, output):
        self.status, self.output = status, output
        self.last = output.strip().splitlines()[-1] if output.strip() else ""


class Verb:
    """scripts/VERB of a repository, in a fork of this process, which has imported what it needs from
    the standard library, and imports the repository's own package."""

    def __init__(self, scripts, verb, arguments, environment, cwd=None):
        self.file = tempfile.TemporaryFile()
        self.pid, self.status = os.fork(), None
        if not self.pid:
            try:
                self.become(scripts, verb, arguments, environment, cwd)
            except BaseException:  # pylint: disable=broad-except
                traceback.print_exc()
            finally:
                os._exit(99)

    def become(self, scripts, verb, arguments, environment, cwd):
        os.setsid()
        # A shell starts background jobs with Ctrl-C ignored, and they hand that on.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(self.file.fileno(), stream)
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, encoding="utf-8", closefd=False)
                                             for number, mode in ((0, "r"), (1, "w"), (2, "w")))
        os.chdir(cwd or scripts)
        os.environ.clear()
        os.environ.update(environment)
        for name in [name for name in sys.modules if name.split(".")[0] == "gup"]:
            del sys.modules[name]
        sys.path[0] = str(scripts)
        status = 98
        try:
            from gup import cli
            cli.main(verb, list(arguments))
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    def poll(self):
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status

    def result(self):
        """When it has ended. run.py has a limit for the test."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.file.seek(0)
        return Result(self.status, self.file.read().decode("utf-8", "replace"))


def group_state(group):
    """{process: state} of a process group: S sleeps, Z has ended, R runs or would like to."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended
            continue
        if int(of) == group:
            found[path.parent.name] = state
    return found


@contextlib.contextmanager
def locked(path):
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def new_folder():
    """All have names of the same length, for move()."""
    return pathlib.Path(tempfile.mkdtemp(dir=WORK, prefix="s-"))


def holding(top):
    """The files below that name it. Not git's index: it has a checksum, and whose path is
    another one is read anew."""
    found = subprocess.run(["grep", "-rlF", "--exclude=index", "-e", str(top), str(top)],
                           capture_output=True, text=True, check=False).stdout.splitlines()
    return [pathlib.Path(name).relative_to(top) for name in found]


def move(files, old, new):
    """In a copy of old, which knows its own path, these files name the new one."""
    for path in (new / name for name in files):
        stat = path.stat()
        path.write_bytes(path.read_bytes().replace(os.fsencode(old), os.fsencode(new)))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def not_copied(folder, names):
    """What no script in a sandbox looks at."""
    large = {ROOT / "scripts/tests", ROOT / "kunit/mutants"}
    return [name for name in names if pathlib.Path(folder, name) in large]


class SandboxTest(unittest.TestCase):
    """Subclasses choose what is in the sandbox of a test: by these two, and by prepare(), which
    finds what the prepare() of its base classes has made."""

    WITH_CACHE = True  # the fake kernel is in the cache already
    WITH_SERIES = True  # three patches: a fix, and two suites

    def setUp(self):
        template, files = self.template([c for c in type(self).__mro__ if "prepare" in vars(c)])
        self.enter(new_folder())
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        self.copy(template, files)

    def enter(self, top):
        """Where things are."""
        self.top = top
        self.repo, self.cache = self.top / "repo", self.top / "cache/gup-series"
        self.kernel, self.bin = self.top / "kernel", self.top / "bin"
        self.environment = dict(
            os.environ, PATH=f"{self.bin}:{os.environ['PATH']}", XDG_CACHE_HOME=str(self.top / "cache"),
            FAKE_CONSOLE=str(self.top / "console"), FAKE_DEB=str(self.top / "none.deb"),
            FAKE_TEST=str(os.getpid()),  # a fake that hangs does not outlive it
            GIT_ALLOW_PROTOCOL="file")  # so kernel.org is never asked

    def template(self, classes):
        """A folder that the prepare() of these, the last one first, has filled, and the files in
        it that name it."""
        kind = f"{classes[0].__module__}.{classes[0].__qualname__}-{self.WITH_CACHE:d}{self.WITH_SERIES:d}"
        link, listing = WORK / kind, WORK / f"{kind}.files"
        with locked(WORK / f"{kind}.lock"):
            if not link.exists():
                maker = classes[0]()
                maker.WITH_CACHE, maker.WITH_SERIES = self.WITH_CACHE, self.WITH_SERIES
                maker.enter(new_folder())
                if classes[1:]:
                    maker.copy(*self.template(classes[1:]))
                maker.prepare()
                listing.write_text(json.dumps([str(name) for name in holding(maker.top)]))
                link.symlink_to(maker.top)
        return link.resolve(), json.loads(listing.read_text())

    def copy(self, template, files):
        shutil.copytree(template, self.top, symlinks=True, dirs_exist_ok=True)
        move(files, template, self.top)

    def prepare(self):
        for part in ("scripts", "configs", "kunit"):
            shutil.copytree(ROOT / part, self.repo / part, ignore=not_copied)
        write_files(self.kernel, KERNEL)
        real_kernel_tools(self.kernel)
        programs(self.bin, {"qemu-system-x86_64": FAKE_QEMU, "apt-get": FAKE_APT})
        (self.repo / "patches").mkdir()
        (self.repo / "series").write_text("# BASE v7.3\n# section: fixes\n\n# section: tests\n")
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
        subprocess.run(["git", "init", "-q", "--bare", "--template=", str(pristine)], check=True)
        tar = subprocess.run(["tar", "-C", str(self.kernel), "-cf", "-", "."], check=True,
                             capture_output=True).stdout
        commit = archive.import_archive(pristine, io.BytesIO(tar))
        git(pristine, "update-ref", "refs/heads/base", commit)
        git(pristine, "symbolic-ref", "HEAD", "refs/heads/base")
        git(pristine, "repack", "-a", "-d", "-q")  # what has few files is copied fast
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
        git(clone, "init", "-q", "--template=")
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
        git(clone, "repack", "-a", "-d", "-q")
        (self.repo / "series").write_text(
            "# BASE v7.3\n# section: fixes\nfix.patch\n\n# section: tests\nalpha.patch\nbeta.patch\n")

    def console(self, suites, head=HEAD, tail=TAIL, between=""):
        (self.top / "console").write_text(head + ktap(suites, between) + tail)

    # ---------------------------------------------------------------- running

    def script(self, verb, *arguments, **environment):
        return self.start(verb, arguments, environment).result()

    def start(self, verb, arguments, environment):
        return Verb(self.repo / "scripts", verb, arguments, dict(self.environment, **environment))

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

    def interrupt(self, verb, *arguments, when, how=lambda pid: os.killpg(pid, signal.SIGINT), **environment):
        """Ctrl-C, to the whole process group, as soon as when() is true."""
        process = self.start(verb, arguments, environment)
        self.wait(lambda: when() or process.poll() is not None)
        # Not before all of them wait for something: what is just being started would run on.
        self.wait(lambda: self.settled(process.pid) or process.poll() is not None)
        self.assertIsNone(process.poll(), "ended before it could be interrupted")
        how(process.pid)
        result = process.result()
        self.assertEqual(result.status, CODES["interrupted"], result.output)
        self.assertTrue(result.last.startswith("FAIL(interrupted): "), result.output)
        self.assertNotIn("Traceback", result.output)
        return result

    def wait(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "what the test waits for does not come")
            time.sleep(0.02)

    @staticmethod
    def settled(group):
        """The same processes as a moment ago, and all of them asleep."""
        before = group_state(group)
        time.sleep(0.05)
        return group_state(group) == before and not set(before.values()) - set("SZ")

    def result(self):
        return json.loads((self.repo / "build/results/latest/result.json").read_text())

    def tree(self):
        return self.repo / "build/tree"


def programs_but(*missing):
    """A folder, shared by all tests, with links to all programs but those whose name begins so."""
    folder = WORK / "-".join(["programs-but", *missing])
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            for path in reversed(os.environ["PATH"].split(":")):
                for program in pathlib.Path(path).glob("*"):
                    link = folder / program.name
                    if not program.name.startswith(missing) and not link.is_symlink():
                        link.symlink_to(program)
    return folder


class BuiltTest(SandboxTest):
    """Where scripts/boot ran once: the tree is there, and built."""

    def prepare(self):
        self.good("boot")
        shutil.rmtree(self.repo / "build/results")


class JudgedTest(BuiltTest):
    """Where a guest has ended. Its verdict is made here, as scripts/boot makes it, but
    without a shell and a process for each step of the way."""

    def prepare(self):
        self.good("boot")

    def setUp(self):
        super().setUp()
        self.results = self.repo / "build/results/latest"

    def change(self, name, **fields):
        """Other values in one of the JSON files of the results."""
        path = self.results / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    def judged(self, kind, names=(), **guest):
        """This console, of a guest that ended so, must be judged so, with these things named."""
        console = self.results / "console.log"
        shutil.copy(self.top / "console", console)
        self.change("guest.json", **guest)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            kunit_parse(self.tree(), console, self.results / "kunit.json")
            found, summary = verdict.of(self.results)
        self.assertEqual(found, kind, f"{self.result()}\n{output.getvalue()}{summary}")
        for name in names:
            self.assertIn(name, output.getvalue() + summary)
        return summary


def kunit_parse(tree, console, result):
    """What the kernel's kunit.py parse does, with the modules of this tree."""
    result.unlink(missing_ok=True)
    sys.path.insert(0, str(tree / "tools/testing/kunit"))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(tree), contextlib.suppress(SystemExit):
        import kunit  # which prints to where stdout goes now
        kunit.main(["parse", f"--json={result}", str(console)])


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
