# SPDX-License-Identifier: GPL-2.0
"""basecommit.py REPOSITORY REVISION: the base commit of a tree that git has."""

import sys

from common import Git, main
from tar2git import base_commit


def run():
    git = Git(sys.argv[1])
    print(base_commit(git, git.text("rev-parse", sys.argv[2] + "^{tree}")))
    return 0


if __name__ == "__main__":
    main(run)
