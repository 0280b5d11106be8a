// SPDX-License-Identifier: GPL-2.0
/*
 * A wrapper over the old call, and a macro of its name: the header comes before.
 */
#include "gup_legacy.h"

static inline int wrapped(unsigned long start, int nr_pages, int write,
			  struct page **pages)
{
	return get_user_pages(current, current->mm, start, nr_pages, write, 0,
			      pages, NULL);
}

#undef get_user_pages
#define get_user_pages(start, nr, write, pages) wrapped(start, nr, write, pages)

int driver_get(unsigned long start, struct page **pages);
int driver_get(unsigned long start, struct page **pages)
{
	return get_user_pages(start, 1, 1, pages);
}
