/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lets one assertion of the suites see the opposite of what it sees: the one that
 * "gup_mutant=N" on the command line names. scripts/mutants --assertions includes
 * it in each file of mm/tests after the last header, and defines GUP_PERTURB_MAIN
 * in one of them. Without a number it only counts.
 */
#undef _KUNIT_SAVE_LOC
#undef likely
#undef IS_ERR_OR_NULL

struct gup_site {
	const char *file;
	int line;
	unsigned int hits;
	const char *first;	/* the test that was the first one */
};

extern bool gup_perturb_armed;
void gup_perturb_at(struct gup_site *site, struct kunit *test);

static inline bool gup_perturb_now(void)
{
	bool now = gup_perturb_armed;

	gup_perturb_armed = false;
	return now;
}

/*
 * Each assertion begins with it, and then asks likely() or IS_ERR_OR_NULL(). They
 * read the flag before they evaluate their argument, which may contain assertions.
 */
#define _KUNIT_SAVE_LOC(test) do {					\
	static struct gup_site __used __section("gup_sites")		\
		__aligned(__alignof__(struct gup_site)) __site = {	\
		.file = __FILE_NAME__, .line = __LINE__,		\
	};								\
									\
	gup_perturb_at(&__site, test);					\
} while (0)
#define likely(x)							\
	({ bool __n = gup_perturb_now(); bool __x = !!(x); __x != __n; })
#define IS_ERR_OR_NULL(ptr)						\
	({ bool __n = gup_perturb_now(); (IS_ERR(ptr) || !(ptr)) != __n; })

#ifdef GUP_PERTURB_MAIN
#include <linux/reboot.h>

extern struct gup_site __start_gup_sites[], __stop_gup_sites[];

bool gup_perturb_armed;
static int gup_perturb;

static int __init gup_perturb_setup(char *text)
{
	return kstrtoint(text, 10, &gup_perturb);
}
early_param("gup_mutant", gup_perturb_setup);

void gup_perturb_at(struct gup_site *site, struct kunit *test)
{
	WRITE_ONCE((test)->last_seen.file, site->file);
	WRITE_ONCE((test)->last_seen.line, site->line);
	if (!site->hits++)
		site->first = test->name;
	if (site - __start_gup_sites == gup_perturb - 1)
		gup_perturb_armed = true;
}

/* When all tests are over. */
static int gup_perturb_list(struct notifier_block *block, unsigned long event,
			    void *data)
{
	struct gup_site *site;

	for (site = __start_gup_sites; site < __stop_gup_sites; site++)
		pr_info("gup_site %ld %s:%d %u %s\n",
			site - __start_gup_sites + 1, site->file, site->line,
			site->hits, site->hits ? site->first : "-");
	return NOTIFY_DONE;
}

static struct notifier_block gup_perturb_block = {
	.notifier_call = gup_perturb_list,
};

static int __init gup_perturb_init(void)
{
	return register_reboot_notifier(&gup_perturb_block);
}
early_initcall(gup_perturb_init);
#endif
