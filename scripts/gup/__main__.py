# SPDX-License-Identifier: GPL-2.0
"""python3 -S scripts/gup VERB [OPTION]...: what a file of scripts/ runs."""

import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
from gup import cli  # noqa: E402

cli.main(sys.argv[1], sys.argv[2:])
