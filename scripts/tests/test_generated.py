# SPDX-License-Identifier: GPL-2.0
"""Generated mutants of a small C file: what the operators make, that the switch chooses the
same program as the change in the file does, and what is said of a console."""

import pathlib
import re
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import GOOD, HEAD, TAIL, ktap, new_folder  # noqa: E402

from gup import assertions, cli, cparse, generated, mutantjob, mutationreport, operators, schema  # noqa: E402

CLANG = pathlib.Path(cparse.DEBIAN, "clang/cindex.py").exists()
FILE = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define unlikely(x) __builtin_expect(!!(x), 0)
#define WARN_ON_ONCE(c) ({ int __ret = !!(c); if (unlikely(__ret)) seen++; unlikely(__ret); })
#define FOLL_WRITE 1
#define FOLL_GET 4
#define EINVAL 22
#define ENXIO 6
static int seen, held;
#ifdef OTHER
static int other(void)
{
	return 1;
}
#endif
static void lock(int *what)
{
	held += *what;
}
static void unlock(int *what)
{
	held -= *what;	/* see
			 * lock() */
}
static long mixed(unsigned int u, const char *p)
{
	do {
		u >>= 1;
		if (p && *p == 'x')
			break;
	} while (u > 3);
	switch (u) {
	case 1:
		u = 7;
		break;
	default:
		held += u;
		unlock(&held);
	}
	if (u > 5)
		return -EINVAL;
	return u;
}
static int sum(const int *list, int n, unsigned int flags)
{
	int total = 0, one = 1;
	int i;

	if (unlikely(n < 0 && WARN_ON_ONCE(flags & FOLL_GET)))
		return -EINVAL;
	lock(&one);
	for (i = 0; i < n; i++) {
		if (!list[(unsigned short)i])
			continue;
		total += list[(unsigned short)i] << 1;
		if (total > 40 || (flags & FOLL_WRITE))
			goto out;
	}
	total--;
out:
	unlock(&one);
	return total;
}
"""
REST = """
int main(int argc, char **argv)
{
	/* A mutant may look before it and behind it. */
	static int all[1 << 20], *list = all + (1 << 19);
	int n, flags;

	(void)argc;
	memcpy(list, (int[]){ 3, 0, 5, 9, 7 }, 5 * sizeof(int));
	@CHOOSE@
	for (n = -2; n < 5; n++)
		for (flags = 0; flags < 6; flags++)
			printf("%d %d %d %ld\\n", sum(list, n, flags), seen, held,
			       mixed(n + flags, flags == 3 ? NULL : "xy" + n % 2));
	return argv == NULL;
}
"""


@unittest.skipUnless(CLANG, "there is no python3-clang")
class Operators(unittest.TestCase):
    def setUp(self):
        self.top = new_folder()
        self.path = self.top / "sum.c"
        self.path.write_text(FILE)
        self.source = cparse.Source(self.path, FILE, self.top, "cc -DX=1 -I/usr/include -O2")
        self.mutants = operators.mutants(self.source)
        for number, mutant in enumerate(self.mutants, 1):
            mutant.number = number

    def changes(self, function, operator):
        return [mutant.change for mutant in self.mutants if (mutant.function, mutant.operator) == (function, operator)]

    def run_program(self, text, *words):
        program = self.top / "program"
        subprocess.run(["gcc", "-w", "-O1", "-fwrapv", "-ftrivial-auto-var-init=zero", "-x", "c", "-", "-o", str(program)],
                       check=True, input=text, text=True)
        return self.output(program, *words)

    @staticmethod
    def output(program, *words):
        done = subprocess.run(["timeout", "-s", "KILL", "2", str(program), *words], check=False, capture_output=True, text=True)
        return done.returncode, done.stdout[:2000]

    def test_functions(self):
        self.assertEqual(list(self.source.functions), ["lock", "unlock", "mixed", "sum"])

    def test_each_operator(self):
        for operator, change in (
                ("delete", "held += *what; -> ;"), ("delete", "total--; -> ;"), ("delete", "unlock(&one); -> ;"),
                ("negate", "WARN_ON_ONCE(flags & FOLL_GET) -> !(WARN_ON_ONCE(flags & FOLL_GET))"),
                ("force", "n < 0 -> 1"), ("force", "total > 40 -> 0"), ("relation", "n < 0 -> (n) <= (0)"),
                ("relation", "i < n -> (i) != (n)"), ("bound", "i < n -> (i) < (n) - 1"),
                ("logic", "total > 40 || (flags & FOLL_WRITE) -> (total > 40) && ((flags & FOLL_WRITE))"),
                ("arithmetic", "list[(unsigned short)i] << 1 -> (list[(unsigned short)i]) >> (1)"), ("operand", "list[(unsigned short)i] << 1 -> (list[(unsigned short)i])"),
                ("assign", "total += list[(unsigned short)i] << 1 -> total -= (list[(unsigned short)i] << 1)"), ("step", "total-- -> total++"),
                ("constant", "40 -> 41"), ("constant", "FOLL_GET -> FOLL_WRITE"), ("jump", "continue; -> break;"),
                ("force", "p -> 0"), ("force", "u > 3 -> 0"), ("delete", "break; -> ;"),
                ("return", "return -EINVAL; -> return 0;"), ("return", "return total; -> return (total) + 1;"),
                ("argument", "(unsigned short)i -> ((unsigned short)i) + 1"), ("late", "lock(&one); -> ; and return total; -> lock(&one); return total;"),
                ("pair", "lock(&one); -> ; and unlock(&one); -> ;")):
            with self.subTest(operator, change=change):
                found = [*self.changes("sum", operator), *self.changes("lock", operator), *self.changes("mixed", operator)]
                self.assertIn(change, found)

    def test_no_two_are_the_same(self):
        texts = [schema.applied(FILE, [edit[:3] for edit in mutant.edits]) for mutant in self.mutants]
        self.assertEqual(len(set(texts)), len(texts))
        self.assertNotIn(FILE, texts)
        self.assertEqual({text.count("\n") for text in texts}, {FILE.count("\n")})

    def test_keys_do_not_know_of_other_functions(self):
        longer = FILE.replace("static void lock(", "static void nothing(void)\n{\n}\nstatic void lock(")
        self.path.write_text(longer)
        again = operators.mutants(cparse.Source(self.path, longer, self.top, "cc"))
        keys = {mutant.key for mutant in self.mutants}
        self.assertEqual(keys & {mutant.key for mutant in again}, keys)

    def test_switch_does_what_the_change_does(self):
        switch = schema.switched(self.mutants, FILE).replace(
            f'#include "{schema.HEADER}"', "static int gup_mutant;\n#define gup_is(n) (gup_mutant == (n))")
        every = REST.replace("@CHOOSE@", "gup_mutant = atoi(argv[1]);")
        plain = REST.replace("@CHOOSE@", "")
        unchanged = self.run_program(FILE + plain)
        self.assertEqual(self.run_program(switch + every, "0"), unchanged)
        program, differ = self.top / "every", 0
        (self.top / "program").rename(program)
        for mutant in self.mutants[::3]:
            with self.subTest(mutant.change):
                alone = self.run_program(schema.applied(FILE, [edit[:3] for edit in mutant.edits]) + plain)
                self.assertEqual(self.output(program, str(mutant.number)), alone)
                differ += alone != unchanged
        self.assertGreater(differ, len(self.mutants) / 8)


class Consoles(unittest.TestCase):
    SAID = "    # one: EXPECTATION FAILED at mm/tests/x.c:7\n    Expected count == 0\n"

    def judge(self, console, end="exit", expected=(4, 0)):
        return mutantjob.judge(console.splitlines(True), end, expected)

    def test_verdicts(self):
        good = HEAD + ktap(GOOD) + TAIL
        bad = HEAD + ktap({**GOOD, "gup_alpha": {"one": "not ok", "two": "ok"}}) + TAIL
        told = re.sub(r"(.*    not ok)", lambda m: self.SAID + m[1], bad, count=1)
        expected = mutantjob.counts(good.splitlines(True))
        self.assertGreater(expected[0], 2)
        for verdict, by, console, end in (
                ("survived", "", good, "exit"), ("killed", "gup_alpha.one", told, "exit"),
                ("killed", "gup_alpha.one", told, "enough"), ("crashed", "not ok 1 one", bad, "exit"),
                ("warned", "warning: WARNING: mm/gup.c:7 at gup+N/N",
                 good.replace(TAIL, "WARNING: mm/gup.c:7 at gup+0x1/0x2\n" + TAIL), "exit"),
                ("hung", "TAP version 14", HEAD + "TAP version 14\n", "silent"),
                ("crashed", "bug: BUG: kernel NULL pointer dereference, address: N",
                 good.replace(TAIL, "BUG: kernel NULL pointer dereference, address: 0x8\nOops: 0000\n" + TAIL), "exit"),
                ("hung", "rcu-stall: rcu: INFO: rcu_sched detected stalls",
                 good.replace(TAIL, "rcu: INFO: rcu_sched detected stalls\n" + TAIL), "exit"),
                ("crashed", "warning: WARNING: mm/gup.c:7 at gup+N/N",
                 bad.replace(TAIL, "WARNING: mm/gup.c:7 at gup+0x1/0x2\n" + TAIL), "exit"),
                ("crashed", "panic: Kernel panic - not syncing: x", HEAD + "Kernel panic - not syncing: x\n", "panic"),
                ("skips", "", good.replace("ok 1 one\n", "ok 1 one # SKIP no such memory\n", 1), "exit")):
            with self.subTest(verdict, by=by):
                self.assertEqual(self.judge(console, end, expected), (verdict, by))

    def test_which_tests_come_to_a_mutant(self):
        good = {"gup_alpha": {"one": "ok", "two": "skip"}, "gup_beta": {"three": "ok"}}
        lines = ("".join(f"[    0.1] gup_test {number} {name}\n" for number, name in enumerate(
            ("gup_alpha.one", "gup_alpha.two", "gup_beta.three"))) + HEAD + ktap(good)
            + "[    2.0] gup_reach 1-6: \n[    2.0] gup_reach 7-8: 1-2\n[    2.1] gup_reach 9-9: 0,2\n" + TAIL)
        reach = generated.Reach(lines.splitlines(True))
        self.assertEqual(reach.of, {"7": ["1-2", [2, 1]], "8": ["1-2", [2, 1]], "9": ["0,2", [2, 0]]})
        self.assertEqual([mock.Mock(number=number) in reach for number in (6, 7, 8, 9)], [False, True, True, True])
        self.assertFalse(reach.whole)
        self.assertTrue(generated.Reach(["[    2.1] gup_reach ends\n"]).whole)

    def test_a_guest_ends_at_the_first_failure_that_was_explained(self):
        told = mutantjob.Told()
        self.assertFalse(told(b"    not ok 1 zero\n"))
        self.assertFalse(told(b"[    1.0]     # one: EXPECTATION FAILED at mm/tests/x.c:7\n[    1.0]     not o"))
        self.assertTrue(told(b"k 2 one\n"))
        endless = "    # one: EXPECTATION FAILED at mm/tests/x.c:7\n    Expected an end after SIGKILL\n"
        self.assertTrue(mutantjob.Told()(endless.encode()))
        self.assertEqual(self.judge(HEAD + ktap(GOOD).partition("ok 1 one")[0] + endless, "silent"),
                         ("killed", "gup_alpha.one"))

    def test_what_its_own_tests_do_not_tell_is_given_to_all_where_that_is_quick(self):
        def tried(verdict, whole):
            seen = []
            job = {"first": {"7": "gup.a"}, "tests": {"7": ["1-2", [2, 0]]}, "expected": [9, 0], "whole": whole}
            with mock.patch.object(mutantjob, "one_boot", lambda _, number, expected, *words: (
                    seen.append((number, expected, *words)) or {"verdict": verdict})):
                self.assertEqual(mutantjob.boot(job, "7"), {"verdict": verdict})
            return seen

        first, own, every = (("7", [9, 0], "kunit.filter_glob=gup.a"), ("7", [2, 0], "gup_tests=1-2"), ("7", [9, 0]))
        self.assertEqual(tried("killed", True), [first])
        self.assertEqual(tried("survived", True), [first, own, every])
        self.assertEqual(tried("survived", False), [first, own])
        self.assertEqual(tried("hung", True), [first, own])


def row(key, **fields):
    return generated.blank(mock.Mock(key=key, function="f", operator="delete", change="a -> b")) | fields


class Verdicts(unittest.TestCase):
    ROWS = {one["key"]: one for one in (
        row("original", um_object="o", x86_64_object="O"), row("a", um="killed", um_by="gup_x.y", um_object="1"),
        row("b", um="survived", um_object="o"), row("c", um="survived", um_object="2", x86_64="killed", x86_64_object="3"),
        row("d", um="survived", um_object="4"), row("e", um="survived", um_object="none"), row("f", um="hung", um_object="5"),
        row("g", um="survived", um_object="4"), row("i"), row("m", um="survived"), row("n", um="survived"), row("j", um="survived", um_object="o", x86_64_object="O"),
        row("h", um="survived", um_object="o", x86_64="survived", x86_64_object="6"),
        row("p", um="survived", um_object="8", x86_64="killed"),
        row("k", um="survived", um_object="none", x86_64_object="none"),
        row("l", um="killed", um_object="none", x86_64="survived", x86_64_object="7"))}
    CLASSES = {"a": "killed", "b": "not tried", "c": "killed", "d": "survived", "e": "not tried", "f": "hung", "g": "duplicate",
               "i": "not tried", "j": "same object", "h": "survived", "k": "no program", "l": "survived",
               "m": "survived", "n": "survived", "p": "killed"}

    def setUp(self):
        self.top = new_folder()
        for module, name in ((generated, "RESULTS"), (mutationreport, "REASONS")):
            patcher = mock.patch.object(module, name, self.top / name)
            patcher.start()
            self.addCleanup(patcher.stop)

    def rows(self):
        return mutationreport.classify({key: dict(one) for key, one in self.ROWS.items()})

    def kept(self, keys, tests="new", name="um", made="of this"):
        subject = mock.Mock(mutants=[mock.Mock(key=key, function="f", operator="delete", change="") for key in keys],
                            original=mock.Mock(key="original", function="", operator="", change=""), tests=lambda: tests)
        subject.arch.name = name
        subject.compiled_from = lambda: made
        return generated.Kept(subject)

    @staticmethod
    def due(kept, keys):
        return [one.key for one in kept.due([mock.Mock(key=key) for key in keys])]

    def test_classes(self):
        found = self.rows()
        self.assertEqual({key: found[key]["class"] for key in self.CLASSES}, self.CLASSES)
        rows = [found[key] for key in self.CLASSES]
        self.assertEqual(mutationreport.score(rows), "33.3")
        found["d"]["class"] = "equivalent"
        found["h"]["class"] = "unreachable"
        self.assertEqual(mutationreport.score(rows), "37.5")
        self.assertEqual(mutationreport.score(rows, ("equivalent", "unreachable")), "42.9")

    def test_the_same_program_must_have_the_same_verdict(self):
        found = self.rows()
        self.assertEqual(mutationreport.contradictions(found, "um"), [])
        found["b"]["um"], found["g"]["um"] = "killed", "hung"
        self.assertEqual(mutationreport.contradictions(found, "um"), ["b", "g"])

    def test_a_reason_for_what_was_killed_or_is_no_more_is_stale(self):
        mutationreport.REASONS.write_text("d equivalent the two counts are always equal\n")
        self.assertEqual(mutationreport.reasons(self.rows()), {"d": "equivalent"})
        for line, said in (("a equivalent it does the same", "a is killed"), ("z unreachable it does the same", "z is made by no"),
                           ("d equivalent why", "not 'KEY"), ("d survived it does the same", "not 'KEY")):
            mutationreport.REASONS.write_text(line + "\n")
            with self.subTest(line), self.assertRaisesRegex(cli.Failure, said):
                mutationreport.reasons(self.rows())

    def test_verdicts_are_kept_until_other_tests_have_judged(self):
        kept = self.kept("abcd")
        for key, verdict in zip("abc", ("killed", "survived", "hung")):
            kept.judged(mock.Mock(key=key), verdict, "")
            kept.rows[key]["um_object"] = key
        kept.save(now=True)
        self.assertEqual(self.due(self.kept("abcd"), "abcd"), ["d"])
        self.assertEqual(self.kept("ab", made="of other headers").rows["a"]["um"], "killed")
        self.assertEqual(self.kept("ab", made="of other headers").rows["a"]["um_object"], "a")
        other = self.kept("abcd", tests="other")
        self.assertEqual(self.due(other, "abcd"), ["d", "b", "c", "a"])
        self.assertEqual((other.rows["a"]["um"], other.rows["a"]["um_object"]), ("killed", "a"))
        other.judged(mock.Mock(key="a"), "survived", "")
        self.assertEqual(self.due(other, "abcd"), ["d", "b", "c"])

    def test_what_was_the_same_as_the_original_stays_so_when_others_change(self):
        kept = self.kept("ab")
        for key, made in (("original", "o"), ("a", "o"), ("b", "1")):
            kept.rows[key]["um_object"] = made
        kept.save(now=True)
        rows = self.kept("ab", made="of other headers").rows
        self.assertEqual([rows[key]["um_object"] for key in ("original", "a", "b")], ["", "same", "1"])
        rows["a"].update(um="survived")
        self.assertEqual(self.due(self.kept("ab", made="of other headers"), "ab"), ["b"])
        self.assertEqual(mutationreport.contradictions(mutationreport.classify(rows), "um"), [])

    def test_no_verdict_is_shared_by_what_is_not_compiled(self):
        kept, mutants = self.kept("ab"), [mock.Mock(key=key) for key in "ab"]
        subject = mock.Mock()
        subject.arch.name = "um"
        kept.judged(mutants[0], "killed", "gup_x.y")
        generated.share(subject, kept, mutants)
        self.assertEqual(self.due(kept, "ab"), ["b"])
        kept.rows["b"]["um_object"] = "none"
        self.assertEqual(self.due(kept, "ab"), [])

    def test_what_is_not_made_any_more_goes_but_for_what_another_architecture_has(self):
        kept = self.kept("ab")
        kept.rows["a"].update(um="killed", um_object="1")
        kept.rows["b"].update(um="survived", um_object="2")
        kept.save(now=True)
        other = self.kept("bc", name="x86_64")
        other.rows["c"].update(x86_64="killed")
        other.save(now=True)
        self.assertEqual(list(generated.read(generated.RESULTS.read_text())), ["original", "b", "c", "a"])
        self.kept("b").save(now=True)
        self.assertEqual(list(generated.read(generated.RESULTS.read_text())), ["original", "b", "c"])

    def test_known_survivors(self):
        known = self.rows()
        for key, good in (("a", False), ("d", True), ("b", True), ("none", False), ("i", False), ("f", False)):
            found = row(key, um="survived", um_object="o" if key == "b" else "7")
            with self.subTest(key):
                self.assertEqual(bool(generated.is_known(found, known["original"], known.get(key), "um")), good)

    def test_which_test_is_tried_first(self):
        before = {key: row(key, function=function, um=verdict, um_by=by) for key, function, verdict, by in (
            ("a", "f", "killed", "gup_x.one"), ("b", "f", "killed", "gup_x.two"), ("c", "f", "killed", "gup_x.two"),
            ("d", "f", "survived", ""), ("e", "g", "crashed", "oops"))}
        mutants = [mock.Mock(number=number, key=key, function=function) for number, (key, function) in enumerate(
            (("a", "f"), ("d", "f"), ("new", "f"), ("e", "g"), ("other", "h")))]
        self.assertEqual(generated.first_tests(mutants, before, "um"), {0: "gup_x.one", 1: "gup_x.two", 2: "gup_x.two"})

    def test_what_was_killed_before_must_not_survive(self):
        before = {"a": row("a", um="killed"), "c": row("c", um="survived", x86_64="killed"), "d": row("d", um="killed"),
                  "e": row("e", um="killed"), "f": row("f", um="killed"), "z": row("z", um="killed")}
        self.assertEqual(generated.lost_since(before, self.rows(), "um"), ["d", "e", "f"])
        self.assertEqual(generated.lost_since(before, self.rows(), "x86_64"), [])

    def test_on_x86_what_is_told_elsewhere_or_the_same_is_not_booted(self):
        subject = mock.Mock(original=mock.Mock(key="original"))
        subject.arch.name = "x86_64"
        subject.mutants = [mock.Mock(key=key, function=f"f{key}") for key in "acdgh"]
        self.kept("ab", name="x86_64").save(now=True)
        kept = generated.Kept(mock.Mock(mutants=subject.mutants, original=subject.original, tests=lambda: "new", **{
            "arch.name": "x86_64"}))
        kept.rows = {key: dict(one) for key, one in self.ROWS.items()}
        self.assertEqual([one.key for one in generated.wanted(subject, kept, [])], list("cdgh"))
        self.assertEqual([one.key for one in generated.wanted(subject, kept, ["f[dg]"])], ["d", "g"])
        with self.assertRaises(cli.Failure):
            generated.wanted(subject, kept, ["nosuch"])
        for key, made in zip("cdgh", ("3", "O", "3", "none")):
            kept.rows[key]["x86_64_object"] = made
        chosen = generated.wanted(subject, kept, [])
        self.assertEqual([one.key for one in generated.differing(subject, kept.rows, chosen)], ["c"])
        kept.judged(chosen[0], "killed", "gup_x.gup_one")
        generated.share(subject, kept, chosen)
        self.assertEqual([kept.rows[key]["x86_64_by"] for key in "cdgh"], ["gup_x.gup_one", "", "gup_x.gup_one", ""])


class Assertions(unittest.TestCase):
    def test_no_line_moves_and_no_condition_hides_the_header(self):
        for text in ("#include <a.h>\n#ifdef X\n#include <b.h>\n#endif\n\nint x;\n", "#include <a.h>\nint x;\n"):
            with self.subTest(text):
                new = assertions.numbered(text, True)
                before, _, after = new.partition(f'#define GUP_PERTURB_MAIN\n#include "{assertions.HEADER}"\n#line ')
                number, _, after = after.partition("\n")
                self.assertEqual(before + after, text)
                self.assertEqual(int(number), before.count("\n") + 1)
                self.assertEqual(before.count("#if"), before.count("#endif"))

    def test_what_the_guest_says_of_an_assertion(self):
        match = assertions.SITE.search("gup_site 12 gup_cow_kunit.c:698 0 -")
        site = assertions.Site(*match.groups())
        self.assertEqual((site.number, site.where, site.hits, site.test), (12, "gup_cow_kunit.c:698", 0, "-"))


if __name__ == "__main__":
    unittest.main()
