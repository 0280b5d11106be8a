/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What scripts/gup/schema.py puts below the headers of a file that has GUP_MUTANTS mutants in it. On the command line
 * of such a kernel, gup_mutant=N takes the N-th. gup_mutant=-1 takes none, and says at the end which tests came to the
 * place of each, by their number in order. gup_tests=3-7,9 runs these tests alone.
 */
#include <kunit/test.h>
#include <linux/reboot.h>

/* A path on which each return is deleted is none that a kernel takes. */
#pragma GCC diagnostic ignored "-Wreturn-type"

#define GUP_TESTS	1024

extern struct kunit_suite * const __kunit_suites_start[], * const __kunit_suites_end[];

static int gup_mutant __read_mostly;
static const char *gup_names[GUP_TESTS];
static int gup_names_nr, gup_now = -1;
static DECLARE_BITMAP(gup_chosen, GUP_TESTS) __initdata;
static unsigned long gup_reach[GUP_MUTANTS + 1][BITS_TO_LONGS(GUP_TESTS)];

/* A thread that has no test counts for the last test that came to such a place by itself. */
static bool gup_reached(int number)
{
	static const char *last;
	struct kunit *test = current->kunit_test;
	int now;

	if (test && test->name != last) {
		last = test->name;
		for (now = 0; now < gup_names_nr; now++)
			if (gup_names[now] == last)
				break;
		WRITE_ONCE(gup_now, now);
	}
	now = READ_ONCE(gup_now);
	if (now >= 0 && now < GUP_TESTS)
		set_bit(now, gup_reach[number]);
	return false;
}

/* Not inline: functions of thousands of branches take the compiler minutes. */
static noinline bool gup_is(int number)
{
	return gup_mutant < 0 ? gup_reached(number) : gup_mutant == number;
}

static int __init gup_mutant_setup(char *text)
{
	return kstrtoint(text, 10, &gup_mutant);
}
early_param("gup_mutant", gup_mutant_setup);

static int __init gup_tests_setup(char *text)
{
	return bitmap_parselist(text, gup_chosen, GUP_TESTS);
}
early_param("gup_tests", gup_tests_setup);

/* When all tests are over. Those of one statement are often reached by the same: a line for each run of them. */
static int gup_reach_list(struct notifier_block *block, unsigned long event, void *data)
{
	int number, first = 1;

	for (number = 1; number <= GUP_MUTANTS; number++) {
		if (number < GUP_MUTANTS &&
		    bitmap_equal(gup_reach[number], gup_reach[number + 1], GUP_TESTS))
			continue;
		pr_info("gup_reach %d-%d: %*pbl\n", first, number, GUP_TESTS, gup_reach[number]);
		first = number + 1;
	}
	pr_info("gup_reach ends\n");
	return NOTIFY_DONE;
}

static struct notifier_block gup_reach_block = {
	.notifier_call = gup_reach_list,
};

/* Numbers the tests, and keeps those that were chosen, or all. */
static int __init gup_number_tests(void)
{
	bool all = bitmap_empty(gup_chosen, GUP_TESTS);
	struct kunit_suite * const *suite;

	for (suite = __kunit_suites_start; suite < __kunit_suites_end; suite++) {
		struct kunit_case *one = (*suite)->test_cases, *keep = one;

		for (; one->run_case; one++) {
			if (WARN_ON(gup_names_nr == GUP_TESTS))
				return -ENOSPC;
			if (gup_mutant < 0)
				pr_info("gup_test %d %s.%s\n", gup_names_nr, (*suite)->name, one->name);
			gup_names[gup_names_nr] = one->name;
			if (all || test_bit(gup_names_nr, gup_chosen))
				*keep++ = *one;
			gup_names_nr++;
		}
		*keep = *one;
	}
	return gup_mutant < 0 ? register_reboot_notifier(&gup_reach_block) : 0;
}
core_initcall(gup_number_tests);
