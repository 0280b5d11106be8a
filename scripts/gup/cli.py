# SPDX-License-Identifier: GPL-2.0
"""What all verbs share: exit codes, messages, options, locks, files, processes, and the last line.

scripts/NAME runs main() of gup/NAME.py, after its options(parser). What that returns is said
behind PASS. It ends with a Failure that says what is wrong, or with an End, if that was said.
"""

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "gup-series")
CPUS = os.cpu_count() or 1
# README.md repeats it; scripts/check compares the two.
EXIT_CODES = """\
0    pass         everything asked for was done, and passed
1    internal     a script stopped where it should not: a bug in scripts/
2    usage        unknown option, suite, configuration, patch or topic
3    environment  a package, program, right or disk space is missing
4    fetch        the kernel source could not be fetched or imported
5    tree         a kernel tree that cannot be used as it is: no kernel, other version, dirty, diverged
6    apply        a patch of the series is missing or does not apply
7    config       a kernel option did not survive
8    build        the kernel does not compile
9    boot         the guest printed nothing, died before its tests, or QEMU or UML failed
10   timeout      the guest hung: it printed nothing new for too long, or has no end
11   test         a test failed, was skipped or is missing, or no suite ran
12   splat        the kernel warned, oopsed, panicked or was tainted
13   check        scripts/check or scripts/test found something wrong
14   bench        a figure of scripts/bench is over its limit, missing or garbled
130  interrupted  Ctrl-C; the same command continues where this one stopped
"""
CODES = {name: int(code) for code, name, _ in (line.split(None, 2) for line in EXIT_CODES.splitlines())}


class End(Exception):
    """Ends a verb that has said why: class of the exit-code table, what is wrong."""

    def __init__(self, kind, what, step=None):
        super().__init__(what)
        self.kind, self.what, self.step = kind, what, step


class Failure(End):
    """Ends a verb, and is told, with the next step."""


def passed(kind, summary):
    """The summary, or what ends a verb that has not passed."""
    if kind != "pass":
        raise End(kind, summary)
    return summary


# ------------------------------------------------------------------ messages and stages

class Now:
    """What this process does."""

    def __init__(self):
        self.verb, self.words = "", []
        self.began = time.monotonic()
        self.stage, self.since = "start", None
        self.stages = {}  # name: seconds
        self.suffix = ""  # of the last line, e.g. where the log is
        self.cleanup = contextlib.ExitStack()

    def seconds(self):
        return int(time.monotonic() - self.began)


now = Now()


def note(text):
    print(f"       {text}", flush=True)


def complain(text):
    print(text, file=sys.stderr, flush=True)


def stage(name, text):
    """Say what begins now."""
    stage_end()
    now.stage, now.since = name, time.monotonic()
    print(f"[{now.seconds():4}s] {name:8} {text}", flush=True)


def stage_end():
    if now.since is not None:
        now.stages[now.stage] = round(time.monotonic() - now.since, 1)
    now.since = None


def indented(lines, most=None, indent="    "):
    for line in lines[:most]:
        print(f"{indent}{line}", flush=True)


# ----------------------------------------------------------------------------- options

class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise usage(message.removeprefix("argument "))

    def parse_known_args(self, *arguments):
        self.given = set()
        return super().parse_known_args(*arguments)


class Given(argparse.Action):
    """An option, which may be repeated if its default is a list."""

    def __call__(self, parser, namespace, values, option_string=None):
        if isinstance(self.default, list):
            values = [*getattr(namespace, self.dest), values]
        elif self.dest in parser.given:
            raise usage(f"{option_string} is given twice")
        parser.given.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


def usage(what, step=None):
    return Failure("usage", what, step or f"scripts/{now.verb} --help lists what there is")


def option(parser, spec, text, kind=None, many=False, default=None):
    """Add "--name" or "--name VALUE"; kind looks at the value."""
    name, _, metavar = spec.partition(" ")
    value = {"metavar": metavar, "type": kind or word, "default": [] if many else default}
    parser.add_argument(name, action=Given, help=text, **(value if metavar else {"nargs": 0, "default": False}))


def word(text):
    if not text:
        raise argparse.ArgumentTypeError("needs a value")
    return text


def number(least=0, most=86400):
    def kind(text):
        if not re.fullmatch(r"0|[1-9]\d{0,8}", text, re.A) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"wants a number from {least} to {most}, without leading zeros, not '{text}'")
        return int(text)
    return kind


seconds, jobs = number(1), number(1, 4096)


def glob(text):
    """What kunit.filter_glob= takes, and a kernel's command line cannot mistake for more."""
    if not re.fullmatch(r"[A-Za-z0-9_.*?-]+", text):
        raise argparse.ArgumentTypeError(f"wants a suite, or suite.test, of letters, digits, _ - * and ?, not '{text}'")
    return text


def new_file(text):
    """A file that is written at the end of a long run."""
    if os.path.isdir(text) or not os.access(os.path.dirname(text) or ".", os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write a file {text}")
    return text


def parse(verb, module, words):
    parser = Parser(prog=f"scripts/{verb}", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                    description=module.__doc__, epilog="exit codes:\n" + re.sub("(?m)^", "  ", EXIT_CODES.rstrip()))
    module.options(parser)
    options = parser.parse_args(words)
    for one, *others in map(str.split, getattr(module, "EXCLUDE", ())):
        for other in others:
            if {one[2:].replace("-", "_"), other[2:].replace("-", "_")} <= parser.given:
                raise usage(f"{one} and {other} exclude each other")
    return options


# --------------------------------------------------------------- locks, places, disk space

HELD = {}


def lock(path, what=None):
    """Hold this file until the verb ends, or unlock(); a second run waits for it."""
    if path in HELD:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "w", encoding="utf-8")
    except OSError as error:
        raise Failure("environment", f"cannot make {path}: {error.strerror}",
                      "look at its rights and at the disk space") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(f"another run uses {what or path.parent}: waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)
    os.set_inheritable(file.fileno(), True)  # for call()
    HELD[path] = file


def unlock(path):
    if path in HELD:
        HELD.pop(path).close()


def need_space(folder, mebibytes, kind="environment"):
    """Say early what would go wrong late."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free >> 20
    if free < mebibytes:
        raise Failure(kind, f"not enough disk space: {folder} has {free} MiB free, {mebibytes} MiB are needed",
                      "free some space there and run the same command again")


def temporary(path):
    """Remove it when the verb ends, however that is."""
    now.cleanup.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def scratch():
    return temporary(pathlib.Path(tempfile.mkdtemp()))


@contextlib.contextmanager
def anew(folder):
    """A folder in place of the old one, which gets its name when it is complete."""
    new = temporary(folder.with_name(f"{folder.name}.new"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    yield new
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def write(path, content):
    """Replace a file as a whole, if that changes it. Did it?"""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    new = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    new.write_bytes(data)
    os.replace(new, path)
    return True


def save(path, content):
    """As JSON."""
    path.write_text(json.dumps(content, indent=1) + "\n")


def text_of(path):
    """Nothing of no file. What a guest or a program has printed need not be text."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def lines_of(path):
    """Without comments and blank ends; none of no file."""
    return [line for line in (line.split("#")[0].rstrip() for line in text_of(path).splitlines()) if line]


def matched(path, pattern, form, kind="usage"):
    """The parts of each line of a list, which must have this form."""
    for number_of, line in enumerate(text_of(path).splitlines(), 1):
        line = line.split("#")[0].rstrip()
        match = re.fullmatch(pattern, line)
        if line and not match:
            raise Failure(kind, f"{path.parent.name}/{path.name}:{number_of}: not {form}: {line}")
        if line:
            yield match.groups()


# ------------------------------------------------------------------------- processes

@contextlib.contextmanager
def started(command, **keywords):
    """A process. What ends us ends it too, and is waited for: make and our own verbs hand it on; of what
    does not, the caller makes a group (process_group=0). It keeps our locks if we are killed. One of ours
    that was interrupted interrupts us."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, **keywords)
    try:
        yield process
    except BaseException:
        if "process_group" in keywords:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()
        process.wait()
        raise
    if process.returncode == CODES["interrupted"]:
        raise KeyboardInterrupt


def call(command, **keywords):
    """Status."""
    with started(command, **keywords) as process:
        return process.wait()


def logged(command, log, mode="w", **keywords):
    """Status; what it says is in a file."""
    with open(log, mode, encoding="utf-8") as file:
        return call(command, stdout=file, stderr=subprocess.STDOUT, **keywords)


def said(command, **keywords):
    """(status, lines) of a command."""
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                 **keywords) as process:
        output, _ = process.communicate()
    return process.returncode, output.splitlines()


def wrong(command, **keywords):
    """What it says if it fails."""
    status, lines = said(command, **keywords)
    return lines or [f"status {status}"] if status else []


# ------------------------------------------------------------- start and end of a verb

def check_places():
    """Say at once what the kernel's make would say after the fetch."""
    if re.search(r"[\s:]", str(ROOT)):
        raise Failure("environment", "the path of this repository has a space or a colon, which the kernel's make "
                      f"refuses: {ROOT}", "move or clone it to another path")
    if not CACHE.is_absolute():
        raise Failure("environment", f"XDG_CACHE_HOME must be an absolute path, and is '{os.environ['XDG_CACHE_HOME']}'",
                      "set it to one, or unset it")


def interrupted(*_):
    raise KeyboardInterrupt


def prepare():
    """What the user has set must not change what we make."""
    sys.stdout.reconfigure(line_buffering=True)
    for number_of in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number_of) != signal.SIG_IGN:  # nohup
            signal.signal(number_of, interrupted)
    os.umask(0o022)
    os.environ.update(LC_ALL="C", GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        os.environ.pop(name, None)


def run(verb, words):
    """(class, summary): runs the verb, and turns what ends it into the last line."""
    try:
        module = importlib.import_module(f"gup.{verb}")
        options = parse(verb, module, words)
        check_places()
        return "pass", module.main(options)
    except Failure as failure:
        sys.stdout.flush()
        complain(f"error: {failure.what}" + (f"\nnext:  {failure.step}" if failure.step else ""))
        return failure.kind, (failure.what.splitlines() or ["no reason given"])[0]
    except End as end:
        return end.kind, end.what
    except KeyboardInterrupt:
        return "interrupted", f"stopped in stage '{now.stage}'; the same command continues"
    except BrokenPipeError:  # whoever read what we say has enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
        return "interrupted", ""
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        return "internal", f"scripts/{verb} stopped in stage '{now.stage}', see above"


def main(verb, words):
    now.verb, now.words = verb, words
    prepare()
    kind, summary = run(verb, words)
    for number_of in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_of, signal.SIG_IGN)
    now.cleanup.close()
    if summary:
        word_of = "PASS" if kind == "pass" else f"FAIL({kind})"
        with contextlib.suppress(OSError):  # nobody reads it, or the disk is full
            print(f"{word_of}: {summary} ({now.seconds()} s{now.suffix})", flush=True)
    sys.exit(CODES[kind])
