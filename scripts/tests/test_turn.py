# SPDX-License-Identifier: GPL-2.0
"""scripts/test: what it runs each time, and what in turn. The verbs that it calls are fakes."""

import hashlib
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import CODES, SandboxTest, programs, write_files  # noqa: E402

# Says what it was called with. A file "wrong", if it is there, names a verb that fails.
FAKE_VERB = """\
echo "called: ${0##*/} $*"
if [ "${0##*/}" = "$(cat "${0%/*}/wrong" 2> /dev/null)" ]; then
	echo "0 passed, 1 failed"
	exit 13
fi
echo "1 passed, 0 failed"
"""
# Has a result as well.
FAKE_BOOT = """\
echo "called: ${0##*/} $*"
results=${0%/*}/../build/results
mkdir -p "$results/$$"
echo '{"verdict": "pass", "totals": {"passed": 1, "failed": 0, "skipped": 0}}' > "$results/$$/result.json"
ln -sfn "$$" "$results/latest"
"""
# Of step fetch nothing is shown if it works.
ALWAYS = ["check --static", "boot --arch um", "check --fixes --arch um",
          "mutants --sample 20 --arch um", "boot", "check --kernel"]
IN_TURN = ["bench", "each", "mutants", "fixes_x86", "selftests", "matrix", "sample", "forms", "kunit_um", "kunit_x86"]


class Turn(SandboxTest):
    WITH_CACHE = WITH_SERIES = False

    def prepare(self):
        scripts = self.repo / "scripts"
        programs(scripts, {name: FAKE_VERB for name in ("bench", "check", "contract", "forms", "mutants", "tree")})
        programs(scripts, {"boot": FAKE_BOOT})
        (self.cache / "ccache").mkdir()
        write_files(scripts, {"tests/run.py": "print('1 passed, 0 failed')\n"})

    def turn(self):
        return (self.cache / "turn").read_text().strip()

    def called(self, *arguments, status="pass"):
        result = self.script("test", *arguments)
        self.assertEqual(result.status, CODES[status], result.output)
        return [line.removeprefix("called: ").strip() for line in result.output.splitlines()
                if line.startswith("called: ") and not line.startswith("called: contract")], result

    def test_the_next_one_is_added_to_what_runs_each_time_and_named_for_the_next_run(self):
        (self.cache / "turn").write_text("bench\n")
        called, result = self.called()
        self.assertEqual(called, [*ALWAYS, "check --each --part auto/24"])
        self.assertEqual(self.turn(), "each")
        self.assertIn("In turn: each this time, mutants next time", result.output)

    def test_after_the_last_one_comes_the_first(self):
        (self.cache / "turn").write_text("kunit_x86\n")
        called, _ = self.called()
        self.assertEqual(called, [*ALWAYS, "bench"])
        self.assertEqual(self.turn(), "bench")

    def test_one_that_failed_comes_again(self):
        (self.cache / "turn").write_text("kunit_x86\n")
        (self.repo / "scripts/wrong").write_text("bench\n")
        _, result = self.called(status="check")
        self.assertEqual(self.turn(), "kunit_x86")
        self.assertIn("bench this time, bench next time", result.output)

    def test_without_a_compiler_cache_there_is_none(self):
        (self.cache / "ccache").rmdir()
        called, result = self.called()
        self.assertEqual(called, ALWAYS)
        self.assertFalse((self.cache / "turn").exists())
        self.assertRegex(result.output, r"In turn: none, without a compiler cache, this time, \w+ next time")

    def test_a_new_machine_begins_with_what_the_series_decides(self):
        begins = {"bench": "bench", "forms": "forms --release 5.10", "mutants": "mutants --keep-going --part auto/45"}
        for number in range(1000):
            series = f"# BASE v7.3\n# {number}\n"
            step = IN_TURN[int(hashlib.sha256(series.encode()).hexdigest()[:6], 16) % len(IN_TURN)]
            if step in begins:
                (self.repo / "series").write_text(series)
                (self.cache / "turn").unlink(missing_ok=True)
                self.assertEqual(self.called()[0], [*ALWAYS, begins.pop(step)])
            if not begins:
                return
        self.fail(f"never first: {begins}")

    def test_a_step_that_is_asked_for_leaves_the_turn_alone(self):
        (self.cache / "turn").write_text("bench\n")
        called, result = self.called("each")
        self.assertEqual(called, ["check --each --part auto/24"])
        self.assertEqual(self.turn(), "bench")
        self.assertNotIn("In turn", result.output)


if __name__ == "__main__":
    unittest.main()
