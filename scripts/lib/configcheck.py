# SPDX-License-Identifier: GPL-2.0
"""configcheck.py .config FRAGMENT...: has every option of the fragments survived?

"#CHECK#CONFIG_X=y" lines assert without setting. The last fragment that sets an
option wins, as in merge_config.sh.
"""

import pathlib
import re
import sys

from common import Failure, main


def options(text, check=False):
    """{option: value} of a .config or fragment; "n" for "is not set"."""
    found = {}
    for line in text.splitlines():
        if check:
            if not line.startswith("#CHECK#"):
                continue
            line = line[len("#CHECK#"):]
        unset = re.match(r"# (CONFIG_\w+) is not set", line)
        value = re.match(r"(CONFIG_\w+)=(.*)$", line)
        if unset:
            found[unset[1]] = "n"
        elif value:
            found[value[1]] = value[2].split("#")[0].strip()
    return found


def run():
    config = options(pathlib.Path(sys.argv[1]).read_text())
    wanted = {}
    for name in sys.argv[2:]:
        path = pathlib.Path(name)
        text = path.read_text()
        for option, value in options(text).items():
            wanted[option] = (value, path.name, "wants")
        for option, value in options(text, check=True).items():
            wanted.setdefault(option, (value, path.name, "relies on"))
    lost = []
    for option, (value, name, verb) in wanted.items():
        have = config.get(option, "n")
        if have != value:
            lost.append(f"{option}={value}, which {name} {verb}, is {have}")
    if lost:
        for line in lost[1:]:
            print(f"error: {line}", file=sys.stderr)
        raise Failure("config", lost[0], "look at the option's dependencies in Kconfig: "
                      "a fragment must name those as well")
    return 0


if __name__ == "__main__":
    main(run)
