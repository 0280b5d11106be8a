# SPDX-License-Identifier: GPL-2.0
"""Which lines and branches of mm/gup.c the suites execute: builds configs/gcov (gcc's --coverage
for this one file), boots it, brings the counters out of the guest, and reports with gcovr. Passes
if the suites pass, enough was executed (see Documentation/proofs.md for what was), and each line
that was not has its reason in kunit/uncovered, as

    function: reason
        text of the line
        ...

by their text, since numbers move with every patch. An entry that is executed, or names no line, is
an error, too: the list is what is true, not what once was. Where the reason begins with "race:" the
line is executed in some runs and not in others: it has to be there, and that is all.

Results: build/results/<time>-coverage/ with coverage.txt, coverage/index.html (each line with its
counts) and result.json.
"""

import base64
import hashlib
import json
import re
from collections import Counter

from gup import arch, boot, cli, guest, results, source
from gup.cli import ROOT, Failure
from gup.kernel import Kernel
from gup.packages import need
from gup.verdict import FUNCTION
from gup.workspace import Workspace

MIN_LINES, MIN_BRANCHES = 92, 80
FILE = "mm/gup.c"


def read_list(path):
    """{"function(): text": its reasons}, as many as there are such lines."""
    entries, function, reason = {}, None, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if not function:
                raise Failure("usage", f"{path}:{number}: a line of code before any function")
            entries.setdefault(f"{function}(): {line.strip()}", []).append(reason)
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


def judge(data, source, listing, folder, least=(MIN_LINES, MIN_BRANCHES), partial=False):
    """What gcovr wrote of one source file, against the list of reasons: the summary."""
    files = json.loads(data.read_text())["files"]
    if len(files) != 1:
        raise Failure("boot", f"{data} has {len(files)} files, not one", "see gcovr.log beside it")
    lines = {line["line_number"]: line for line in files[0]["lines"] if not line.get("gcovr/noncode")}
    text = source.read_text().splitlines()
    where = functions(text)
    places = {number: f"{where[number]}(): {text[number - 1].strip()}" for number in lines}
    missed = [number for number, line in lines.items() if not line["count"]]
    branches = [branch["count"] for line in lines.values() for branch in line["branches"]]
    if len(missed) == len(lines):
        raise Failure("boot", f"{source.name}: no line was executed: counters of another build?")
    covered, taken = len(lines) - len(missed), sum(1 for count in branches if count)

    reasons = read_list(listing)
    reason_of, unexplained = {}, []
    for number in missed:
        if reasons.get(places[number]):
            reason_of[number] = reasons[places[number]].pop(0)
        else:
            unexplained.append(f"{source.name}:{number}: {places[number]}")
    there = Counter(places.values())
    stale = [f"{listing.name}: {place}" for place, left in reasons.items()
             for i, reason in enumerate(left) if not reason.startswith("race:") or i >= there[place]]

    summary = (f"{percent(covered, len(lines)):.1f} % of {len(lines)} lines, "
               f"{percent(taken, len(branches)):.1f} % of {len(branches)} branches")
    report = [f"{source.name}: {summary}", "", "Lines that were not executed:"]
    for number in missed:
        report += [f"  {number:5d} {places[number]}", f"        {reason_of.get(number, 'no reason given')}"]
    report += ["", "Branches that were not taken, by line:"]
    for number, line in lines.items():
        untaken = sum(not branch["count"] for branch in line["branches"])
        if line["count"] and untaken:
            report.append(f"  {number:5d} {untaken} of {len(line['branches'])}  {text[number - 1].strip()}")
    (folder / "coverage.txt").write_text("\n".join(report) + "\n")
    if partial:
        return summary
    cli.indented([f"not executed: {line}" for line in unexplained])
    cli.indented([f"listed, but executed or gone: {line}" for line in stale])
    if percent(covered, len(lines)) < least[0] or percent(taken, len(branches)) < least[1]:
        raise Failure("check", f"{summary}: less than {least[0]:g} % and {least[1]:g} %", f"see {folder}/coverage.txt")
    if unexplained or stale:
        raise Failure("check", f"{summary}; {len(unexplained)} lines without a reason, {len(stale)} "
                      "reasons without a line", f"bring {listing} up to date")
    return summary


# --------------------------------------------------------------------------------- the verb

def save_counters(kernel, folder):
    """The counters as the guest printed them, next to the notes that gcc wrote."""
    console = cli.text_of(folder / "console.log").replace("\r", "")
    printed = re.search(r"COVERAGE BEGIN(.*?)COVERAGE END", console, re.S)
    text = "".join(re.findall(r"^[A-Za-z0-9+/]+=*$", printed[1], re.M)) if printed else ""
    try:
        data = base64.b64decode(text)
    except ValueError:
        data = b""
    if not data:
        raise Failure("boot", f"the guest printed no counters, see {folder}/console.log", "configs/gcov/init prints them")
    if f"COVERAGE SUM {hashlib.md5(data).hexdigest()} " not in console:
        raise Failure("boot", f"the counters in {folder}/console.log are damaged", "run it again")
    (kernel.out / FILE).with_suffix(".gcda").write_bytes(data)


def run_gcovr(kernel, folder):
    (folder / "coverage").mkdir()
    if cli.logged(["gcovr", "--root", kernel.tree, "--object-directory", kernel.out, "--filter", kernel.tree / FILE,
                   "--branches", "--exclude-throw-branches", "--json", folder / "coverage.json",
                   "--html-details", folder / "coverage/index.html", kernel.out / "mm"],
                  folder / "gcovr.log", cwd=kernel.out):
        raise Failure("environment", f"gcovr failed, see {folder}/gcovr.log", "is gcov of the compiler's version?")


def options(parser):
    cli.option(parser, "--suite GLOB", "run only this suite, or tests as suite.test; then nothing is compared", cli.glob)
    cli.option(parser, "--arch NAME", f"one of: {' '.join(arch.ARCHES)}. On um, where not all can be reached, nothing is compared",
               arch.named, default=arch.X86)
    boot.timeout_and_jobs(parser)


def main(options):
    need("fetch", "build", "initramfs", "coverage", *options.arch.packages)
    workspace = Workspace(source.choose()).prepare()
    kernel = Kernel(workspace, "gcov", options.arch, options.jobs)
    suites = kernel.suites(options.suite)
    kernel.build()
    folder = results.new()
    # The verdict on the tests comes first: counters of a failed run say nothing.
    kind, summary = results.boot(kernel, guest.probe(kernel.arch), folder, suites, options.suite, silent=options.timeout)
    cli.passed(kind, summary)
    cli.stage("report", f"gcovr on {FILE}")
    save_counters(kernel, folder)
    run_gcovr(kernel, folder)
    cli.now.suffix = f", report: {folder}/coverage/index.html"
    return judge(folder / "coverage.json", kernel.tree / FILE, ROOT / "kunit/uncovered", folder,
                 partial=bool(options.suite) or options.arch is not arch.X86)
