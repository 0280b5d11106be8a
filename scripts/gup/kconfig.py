# SPDX-License-Identifier: GPL-2.0
"""Has every option of the fragments survived? "#CHECK#CONFIG_X=y" lines assert without setting.
The last fragment that sets an option wins, as in merge_config.sh."""

import re


def options(text, check=False):
    """{option: value} of a .config or fragment; "n" for "is not set"."""
    lines = re.findall(rf"^{'#CHECK#' if check else ''}(?:# (CONFIG_\w+) is not set|(CONFIG_\w+)=(.*))", text, re.M)
    return {unset or option: "n" if unset else value.split("#")[0].strip() for unset, option, value in lines}


def lost(dotconfig, fragments):
    """Lines about what a .config has not as it should."""
    wanted = {}
    for path in fragments:
        text = path.read_text()
        for option, value in options(text).items():
            wanted[option] = (value, path.name, "wants")
        for option, value in options(text, check=True).items():
            wanted.setdefault(option, (value, path.name, "relies on"))
    config = options(dotconfig.read_text())
    return [f"{option}={value}, which {name} {verb}, is {config.get(option, 'n')}"
            for option, (value, name, verb) in wanted.items() if config.get(option, "n") != value]
