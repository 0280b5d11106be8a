# SPDX-License-Identifier: GPL-2.0
"""git in one repository, with nobody's configuration but the repository's."""

import os
import subprocess

from gup.cli import complain


def person(name, email, date):
    """Author and committer, so that nobody else and no other time decides a commit's id."""
    fields = {"NAME": name, "EMAIL": email, "DATE": date}
    return {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in fields.items()}


class Git:
    def __init__(self, directory, **environment):
        self.directory = str(directory)
        self.environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", LC_ALL="C",
                                **environment)

    def run(self, *arguments, check=True, data=None, **environment):
        done = subprocess.run(["git", "-C", self.directory, *arguments], check=False, input=data,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(self.environment, **environment))
        if check and done.returncode:
            complain(done.stderr.decode("utf-8", "replace").rstrip())
            done.check_returncode()
        return done

    def text(self, *arguments, **keywords):
        return self.run(*arguments, **keywords).stdout.decode("utf-8", "replace").strip()

    def lines(self, *arguments, **keywords):
        return self.text(*arguments, **keywords).splitlines()

    def good(self, *arguments):
        return self.run(*arguments, check=False).returncode == 0

    def blob(self, revision, path):
        """The id of a file's contents, "" if there is no such file."""
        return self.text("rev-parse", "-q", "--verify", f"{revision}:{path}", check=False)
