# SPDX-License-Identifier: GPL-2.0
"""The verdict on a guest of scripts/boot --kernel, and the table of several."""

import json
import re

from gup import cli, documents, results, splat, verdict
from gup.arch import X86

HEADER, END = "TAP version 13", re.compile(r"gup_contract: status (\d+)$")
PLAN = re.compile(r"1\.\.(\d+)$")
CASE = re.compile(r"(ok|not ok) \d+ (.*?)(?: # (?:(SKIP|XFAIL) )? ?(.*))?$")
WORDS = {"pass": "", "fail": "**fails**", "skip": "skipped", "xfail": "differs"}
PARTS = re.compile(r"(.*)(?:: | (?=stops at))(?:stops at )?(.*)$")  # what is done, on what


def parts(lines):
    """(console before the program, what it printed, its status or None)."""
    text = [splat.plain(line) for line in lines]
    start = text.index(HEADER) if HEADER in text else len(text)
    end = next((number for number in range(start, len(text)) if END.match(text[number])), None)
    return text[:start], text[start:end], end and int(END.match(text[end])[1])


def cases(lines):
    """({name: (pass, fail, skip or xfail, reason)}, plan or None)"""
    found, plan = {}, None
    for line in lines:
        match, planned = CASE.match(line), PLAN.match(line)
        if planned and plan is None:
            plan = int(planned[1])
        if match:
            word = (match[3] or "").lower() or ("pass" if match[1] == "ok" else "fail")
            found[match[2]] = word if match[1] == "ok" else "fail", match[4] or ""
    return found, plan


def suites(kunit):
    """Those of the series that are built into the kernel."""
    return {name: counts for name, counts in verdict.suites_of(kunit or {}).items() if name.startswith("gup")}


def without_known(lines):
    """Without what CONFIG_DEBUG_VM prints, with a trace, of a fault that cannot wait for userfaultfd's handler: the
    program makes some, by /proc/self/mem, and sees that they fail."""
    kept, known = [], False
    for line in lines:
        known = known or "FAULT_FLAG_ALLOW_RETRY missing" in line
        kept.append("" if known else line)
        known = known and "</TASK>" not in line
    return kept


def findings(lines, guest, found, plan, status, kunit, built_in):
    """(class, what is wrong or nothing): the first that says something is the verdict."""
    last = "the last line was: " + next((splat.plain(line) for line in reversed(lines) if line.strip()), "")
    complaints = splat.splats(without_known(lines))
    yield "boot", guest["end"] == "nothing" and f"the guest printed nothing for {guest['silence_allowed']:g} s"
    early = complaints and complaints[0][1] == "panic" and not found
    yield "boot" if early else "splat", complaints and f"{complaints[0][2]} (console.log line {complaints[0][0]})"
    yield "timeout", guest["end"] in ("silent", "flood") and f"the guest hung: {guest['end']}; {last}"
    yield "boot", not found and f"the guest ended before its tests began; {last}"
    yield "boot", status is None and f"the guest ended before its tests were done; {last}"
    failed = [name for name, (word, _) in found.items() if word == "fail"]
    failed += [f"{suite}.{name}" for suite, counts in built_in.items() for name in counts["failures"]]
    yield "test", failed and f"{len(failed)} failed, first: {failed[0]}"
    yield "test", plan != len(found) and f"{len(found)} results, although {plan} were planned"
    words = [word for word, _ in found.values()]
    counts = {"passed": len(words) - words.count("skip"), "failed": 0, "skipped": words.count("skip")}
    counted = verdict.count(kunit) if kunit else {}
    same = all(counted.get(key) == value for key, value in counts.items())
    yield "test", not same and f"kunit.py does not count {verdict.words(counts)}, see contract.txt"
    yield "test", "pass" not in words and "nothing passed"
    yield "test", status and f"gup_contract ended with status {status}"


def judge(tree, folder, title, arch):
    """(class, summary, result)"""
    lines = cli.text_of(folder / "console.log").splitlines()
    before, own, status = parts(lines)
    parsed = {}
    for name, text in (("suites", before), ("contract", own)):
        (folder / f"{name}.log").write_text("".join(f"{line}\n" for line in text))
        results.kunit_parse(tree, folder, f"{name}.log", name)
        parsed[name] = json.loads(cli.text_of(folder / f"{name}.json") or "null")
    guest = json.loads(cli.text_of(folder / "guest.json"))
    if guest["end"] != "exit":  # a reboot that prints nothing is well: consoles of s390x lose the last line
        status = None
    found, plan = cases(own)
    built_in = suites(parsed["suites"])
    kind, what = next(((kind, what) for kind, what in findings(
        lines, guest, found, plan, status, parsed["contract"], built_in) if what), ("pass", ""))
    cli.indented([f"failed: {name}: {reason}" for name, (word, reason) in found.items() if word == "fail"], 20)
    words = [word for word, _ in found.values()]
    counts = ", ".join(f"{words.count(word)} {text}" for word, text in (
        ("pass", "passed"), ("fail", "failed"), ("xfail", "differ as they did then"), ("skip", "skipped")))
    more = f", {len(built_in)} built-in suites" if built_in else ""
    release = next((match[1] for match in (re.search(r"Linux version (\S+)", line) for line in lines) if match), "")
    result = {"title": title, "arch": arch.name, "release": release, "verdict": kind, "why": what, "guest": guest, "suites": built_in,
              "cases": found, "complete": status is not None and plan == len(found)}
    cli.save(folder / "result.json", result)
    return kind, f"{what + '; ' if what else ''}{counts}{more}, guest {guest['seconds']:.1f} s", result


# ------------------------------------------------------------------------------- table

def pairs(names):
    """{what is done: [on what]}"""
    found = {}
    for name in names:
        match = PARTS.match(name)
        done = match[1] + " stops at" * (" stops at " in name) if match else name
        found.setdefault(done, []).append(match[2] if match else "")
    return found


def short(names, every):
    """Names that differ in what it is done on alone, as one; of every: without that."""
    of_every, found = pairs(every), {}
    for done, things in pairs(names).items():
        whole = things == [""] or (len(things) > 1 and things == of_every[done])
        found.setdefault("" if whole else f" ({', '.join(things)})", []).append(done)
    return "; ".join(f"{', '.join(done)}{things}" for things, done in found.items())


def gist(reason):
    """Of what changed, without what is another value in each test."""
    first, *_, last = reason.split(": ") if ": " in reason else (reason, "")
    return f"{first}: {re.sub(r' instead of .*', '', last)}" if reason.startswith("until ") else reason


def rows(found):
    """Of tests that do not pass on each kernel: those with the same results are one row."""
    groups, every = {}, list(dict.fromkeys(name for result in found for name in result["cases"]))
    for name in every:
        cells = [result["cases"].get(name, ("", "")) for result in found]
        if {word for word, _ in cells} != {"pass"}:
            reasons = dict.fromkeys(gist(reason) for _, reason in cells if reason)
            groups.setdefault((tuple(WORDS.get(word, "") for word, _ in cells), tuple(reasons)), []).append(name)
    for (cells, reasons), names in groups.items():
        why = "; ".join(reasons)
        if not re.search(r"\b[0-9a-f]{12}\b", why):
            why += "; commit unknown"
        yield [len(names), short(names, every), *cells, why]


def places(found):
    """The same of many kernels, which are named in place of a column of each."""
    for number, which, *cells, why in rows(found):
        words = {}
        for result, word in zip(found, cells):
            words.setdefault(word, []).append(result["release"])
        yield [number, which, "; ".join(f"{word}: {', '.join(words[word])}" for word in words if word), why]


def totals(found):
    return documents.table("| kernel | passed | differ | skipped | failed |", ([result["release"], *(
        sum(word == wanted for word, _ in result["cases"].values()) for wanted in ("pass", "xfail", "skip", "fail"))]
        for result in found))


def write_table(found):
    mine = [result for result in found if result["arch"] == X86.name]
    others = [result for result in found if result not in mine]
    releases = " | ".join(result["release"] for result in mine)
    command = ["    scripts/boot --write", *(f"            --kernel {result['title'].split()[0]}" for result in found)]
    documents.fill("kernels.md", command=" \\\n".join(command).splitlines(), kernels=totals(mine),
        table=documents.table(f"| tests | which | {releases} | why |", rows(mine), " --- |"), others=totals(others),
        places=documents.table("| tests | which | where | why |", places(others), " --- |"))
