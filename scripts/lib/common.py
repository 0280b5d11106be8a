# SPDX-License-Identifier: GPL-2.0
"""What the Python helpers share: exit codes, errors, git."""

import os
import pathlib
import re
import signal
import subprocess
import sys

LIB = pathlib.Path(__file__).resolve().parent
ROOT = LIB.parent.parent

# A line of C that begins a function, whose name may have the line for itself.
FUNCTION = re.compile(r"(?:[A-Za-z_].*?\b)??([A-Za-z_]\w*)\(")


def exit_codes():
    """{class: code} from the one table of exit codes."""
    codes = {}
    for line in (LIB / "exit-codes").read_text().splitlines():
        if line and not line.startswith("#"):
            code, name, _ = line.split(None, 2)
            codes[name] = int(code)
    return codes


def architectures():
    """{name: row} of the table of architectures."""
    fields = ("make", "image", "machine", "cpus", "memory", "packages", "end")
    lines = (LIB / "arch").read_text().splitlines()
    rows = [line.split(None, len(fields)) for line in lines if not line.startswith("#")]
    return {name: dict(zip(fields, values)) for name, *values in rows}


class Failure(Exception):
    """Ends a helper: class of the exit-code table, what, and the next step."""

    def __init__(self, kind, what, step=None):
        super().__init__(what)
        self.kind, self.what, self.step = kind, what, step


def main(function):
    """Run a helper's main(); turn a Failure into message and exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.exit(function())
    except Failure as failure:
        sys.stdout.flush()
        print(f"error: {failure.what}", file=sys.stderr)
        if failure.step:
            print(f"next:  {failure.step}", file=sys.stderr)
        summary = os.environ.get("GUP_SUMMARY")
        if summary:
            pathlib.Path(summary).write_text(failure.what.splitlines()[0] + "\n")
        sys.exit(exit_codes()[failure.kind])


class Git:
    """git in one repository, with nobody's configuration but the repository's."""

    def __init__(self, directory, **environment):
        self.directory = str(directory)
        self.environment = dict(
            os.environ,
            GIT_CONFIG_GLOBAL="/dev/null",
            GIT_CONFIG_NOSYSTEM="1",
            LC_ALL="C",
            **environment,
        )

    def run(self, *arguments, check=True, data=None, **environment):
        return subprocess.run(
            ["git", "-C", self.directory, *arguments],
            check=check,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self.environment, **environment),
        )

    def text(self, *arguments, **keywords):
        return self.run(*arguments, **keywords).stdout.decode("utf-8", "replace").strip()

    def blob(self, revision, path):
        """The id of a file's contents, "" if there is no such file."""
        return self.text("rev-parse", "-q", "--verify", f"{revision}:{path}", check=False)

    def has(self, revision):
        return self.run("cat-file", "-e", revision, check=False).returncode == 0
