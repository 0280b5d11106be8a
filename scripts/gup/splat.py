# SPDX-License-Identifier: GPL-2.0
"""What the kernel complained about, in a console.

A list of what is bad (DENY) and a list of lines that look bad and are not (ALLOW),
each with its reason. scripts/tests/logs/ holds a log for every entry of DENY. Reports
of KCSAN that do not touch the code under test are told apart by judge_races().

"WARNING: " alone means nothing: some sixty lines of 7.3 say it of a mitigation, an option
or the firmware. Those that report a defect come from four places: __warn() in
kernel/panic.c, which names file and line, or "at" and the caller; kernel/locking/lockdep.c;
the stack unwinders; and what has a trace, which "Call Trace:" finds. scripts/tests/
test_verdict.py compares this with all such lines of the kernel's sources.
"""

import fnmatch
import re

DENY = [
    ("warning", r"WARNING: (\S+:\d+ at |at \S+, CPU#|CPU: \d+ PID: \d+ at )"),
    ("unwinder", r"WARNING: (stack recursion on stack|kernel stack (regs|frame pointer) at )"
                 r"|WARNING: (WARNING: )?(bad lookup (idx|value): |.*\.orc_unwind (table|entry)"
                 r"|missing \w+ value at |unknown [BS]P base reg |can't access (iret )?registers at "
                 r"|stack going in the wrong direction)"),
    ("bug", r"\bBUG: |kernel BUG at "),
    ("oops", r"\bOops: |Unable to handle kernel|unable to handle (kernel|page fault)"),
    ("panic", r"Kernel panic - not syncing"),
    ("general-protection", r"general protection fault|stack segment: |double fault: "
                           r"|invalid opcode: |divide error: |traps: .* trap "),
    ("kasan", r"KASAN: |KFENCE: |KCSAN: |KMSAN: "),
    ("ubsan", r"UBSAN: "),
    ("lockdep", r"possible (circular|recursive) locking|possible irq lock inversion"
                r"|inconsistent lock state|INFO: lockdep|suspicious RCU usage"
                r"|INFO: trying to register non-static key|held lock freed"
                r"|lock held when returning to user space|DEBUG_LOCKS_WARN_ON"
                r"|WARNING: (.*-safe -> .*-unsafe lock order|chain_key collision"
                r"|Nested lock was not taken|bad (unlock balance|contention) detected)"
                r"|WARNING: .* still has locks held"),
    ("rcu-stall", r"rcu: INFO: .*(stall|expedited stalls)|rcu_\w+ (self-)?detected stall"),
    ("hung-task", r"INFO: task .* blocked for more than"),
    ("lockup", r"soft lockup - CPU|hard LOCKUP|watchdog: BUG"),
    ("atomic", r"scheduling while atomic|sleeping function called from invalid context"),
    ("leak", r"kmemleak: .*new suspected memory leaks|unreferenced object 0x"
             r"|Objects remaining in .* on __kmem_cache_shutdown"),
    ("page-state", r"Bad page (state|map|cache)|Bad rss-counter state|bad swap file entry"
                   r"|non-zero pgtables_bytes on freeing mm"),
    ("refcount", r"refcount_t: "),
    ("list", r"list_(add|del) corruption"),
    ("slab", r"=\s*BUG |(Redzone|Poison|Freepointer) (overwritten|corrupt)|slab error in "),
    ("oom", r"Out of memory: Killed process|invoked oom-killer|page allocation failure"),
    ("mce", r"\[Hardware Error\]|Machine check events logged"),
    ("tainted", r"Tainted: (?!.*\bnot tainted\b)"),
    ("call-trace", r"Call Trace:"),
]

# (pattern, reason). Nothing here may hide a defect of the kernel under test.
ALLOW = [
    (r"Tainted: \[N\]=TEST(?!,)|Tainted: G +N +\d",
     "running KUnit sets TAINT_TEST, and nothing else is in the list"),
    (r"^\s*(not )?ok \d+ |^\s*# ", "a line of a test's result, judged by kunit.py"),
]

# mm/gup.c prints a stack trace after this, which a test asks it to do: it is no complaint.
TRACED = "GUP no longer grows the stack in "

MESSAGE = r"(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[CT]\d+\])?"  # how one of the kernel's begins
STAMP = re.compile(rf"^{MESSAGE} ?")


def plain(line):
    """A console line without level and time stamp."""
    return STAMP.sub("", line.rstrip("\r\n"))


def splats(lines):
    """[(line number, kind, text)] of a console log."""
    found, traces = [], 0
    deny = [(kind, re.compile(pattern)) for kind, pattern in DENY]
    allow = [re.compile(pattern) for pattern, _ in ALLOW]
    for number, line in enumerate(lines, 1):
        # A message that tears another line is a line by itself.
        for text in re.split(MESSAGE, plain(line)):
            kind = next((kind for kind, pattern in deny if pattern.search(text)), None)
            traces += TRACED in text
            if kind == "call-trace" and traces:
                traces -= 1
            elif kind and not any(pattern.search(text) for pattern in allow):
                found.append((number, kind, text))
                break
    return found


# ------------------------------------------------------------------------------ KCSAN

REPORT = re.compile(r"BUG: KCSAN: (.+)")
FRAME = re.compile(r"^\s*(?:RIP: \w+:)?([A-Za-z_]\w*)(?:\.\w+)*\+0x[0-9a-f]+/0x[0-9a-f]+")
RULER = "=" * 20


def data_races(lines):
    """[(first line number, last, title, functions)] of KCSAN's reports.

    A report stands between two rulers; one that the guest did not finish ends with the
    log. functions holds every function that a stack of the report names."""
    text, found = [plain(line) for line in lines], []
    for index, line in enumerate(text):
        match = REPORT.search(line)
        if not match:
            continue
        end = next((i for i in range(index + 1, len(text)) if text[i].startswith(RULER)), len(text))
        frames = {frame[1] for frame in map(FRAME.match, text[index:end]) if frame}
        found.append((index + 1, min(end + 1, len(text)), match[1].strip(), frames))
    return found


def judge_races(lines, ours, explained):
    """(lines without the reports that may stand there, foreign, known).

    A report may stand there if none of its functions is one of @ours, or if its title
    is in @explained: glob to reason. The last two are the titles of both sorts."""
    kept, foreign, known = list(lines), [], []
    for first, last, title, functions in data_races(lines):
        if not functions & ours:
            foreign.append(title)
        elif any(fnmatch.fnmatchcase(title, glob) for glob in explained):
            known.append(title)
        else:
            continue
        kept[first - 1:last] = [""] * (last - first + 1)
    return kept, foreign, known


def excerpt(lines, number, after=40):
    """The console from a splat's line on, to the end of its trace."""
    piece = []
    for line in lines[number - 1:number - 1 + after]:
        piece.append(line.rstrip("\r\n"))
        if "end trace" in line or "end Kernel panic" in line:
            break
    return piece
