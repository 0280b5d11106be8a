# SPDX-License-Identifier: GPL-2.0
"""coverage.py JSON SOURCE LIST MIN-LINES MIN-BRANCHES RESULTS [--partial]

Judges what gcovr wrote (--json) of one source file. LIST gives the reason of each line
that the suites do not execute, of those that gcc has counters for, as

    function: reason
        text of the line
        ...

by their text, since numbers move with every patch. A line that is not executed and not
listed is an error, and so is an entry that is executed, or names no line: the list is
what is true, not what once was. Where the reason begins with "race:" the line is executed
in some runs and not in others: it has to be there, and that is all. RESULTS receives
coverage.txt and coverage-summary.
"""

import json
import pathlib
import re
import sys
from collections import Counter

from common import FUNCTION, Failure, main


def read_list(path):
    """{(function, text): its reasons}, as many as there are such lines."""
    entries, function, reason = {}, None, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if not function:
                raise Failure("usage", f"{path}:{number}: a line of code before any function")
            entries.setdefault((function, line.strip()), []).append(reason)
            continue
        match = re.fullmatch(r"(\w+): (\S.*)", line)
        if not match or len(match[2].split()) < 4:
            raise Failure("usage", f"{path}:{number}: wants 'function: reason', the reason in words")
        function, reason = match[1], match[2]
    return entries


def functions(source):
    """The name of the function that each line is in, from line 1 on."""
    names, name = [None], None
    for line in source:
        begin = FUNCTION.match(line)
        if begin and not line.startswith(("EXPORT", "#", "struct pages")):
            name = begin[1]
        names.append(name)
        if line.startswith("}"):
            name = None
    return names


def percent(part, whole):
    return 100 * part / whole if whole else 0


def run():
    partial = sys.argv[-1] == "--partial"
    data, source, listing = (pathlib.Path(word) for word in sys.argv[1:4])
    min_lines, min_branches = (float(word) for word in sys.argv[4:6])
    results = pathlib.Path(sys.argv[6])
    files = json.loads(data.read_text())["files"]
    if len(files) != 1:
        raise Failure("boot", f"{data} has {len(files)} files, not one", "see gcovr.log beside it")
    lines = {line["line_number"]: line for line in files[0]["lines"] if not line.get("gcovr/noncode")}
    text = source.read_text().splitlines()
    where = functions(text)
    missed = [number for number, line in lines.items() if not line["count"]]
    branches = [branch["count"] for line in lines.values() for branch in line["branches"]]
    if len(missed) == len(lines):
        raise Failure("boot", f"{source.name}: no line was executed: counters of another build?")
    covered, taken = len(lines) - len(missed), sum(1 for count in branches if count)

    reasons = read_list(listing)
    reason_of, unexplained = {}, []
    for number in missed:
        key = where[number], text[number - 1].strip()
        if reasons.get(key):
            reason_of[number] = reasons[key].pop(0)
        else:
            unexplained.append(f"{source.name}:{number}: {key[0]}(): {key[1]}")
    there = Counter((where[number], text[number - 1].strip()) for number in lines)
    stale = [f"{listing.name}: {key[0]}(): {key[1]}" for key, left in reasons.items()
             for i, reason in enumerate(left) if not reason.startswith("race:") or i >= there[key]]

    summary = (f"{percent(covered, len(lines)):.1f} % of {len(lines)} lines, "
               f"{percent(taken, len(branches)):.1f} % of {len(branches)} branches")
    report = [f"{source.name}: {summary}", "", "Lines that were not executed:"]
    report += [f"  {number:5d} {where[number]}(): {text[number - 1].strip()}\n"
               f"        {reason_of.get(number, 'no reason given')}"
               for number in missed]
    report += ["", "Branches that were not taken, by line:"]
    report += [f"  {number:5d} {sum(1 for b in line['branches'] if not b['count'])} of "
               f"{len(line['branches'])}  {text[number - 1].strip()}"
               for number, line in lines.items()
               if line["count"] and any(not b["count"] for b in line["branches"])]
    (results / "coverage.txt").write_text("\n".join(report) + "\n")
    (results / "coverage-summary").write_text(summary + "\n")
    if partial:
        return 0
    for line in unexplained:
        print(f"    not executed: {line}", file=sys.stderr)
    for line in stale:
        print(f"    listed, but executed or gone: {line}", file=sys.stderr)
    if percent(covered, len(lines)) < min_lines or percent(taken, len(branches)) < min_branches:
        raise Failure("check", f"{summary}: less than {min_lines:g} % and {min_branches:g} %",
                      f"see {results}/coverage.txt")
    if unexplained or stale:
        raise Failure("check", f"{summary}; {len(unexplained)} lines without a reason, {len(stale)} "
                      "reasons without a line", f"bring {listing} up to date")
    return 0


if __name__ == "__main__":
    main(run)
