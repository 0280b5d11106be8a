// SPDX-License-Identifier: GPL-2.0
/*
 * A layer that begins with #undef: the macro of the header is gone, and with it
 * the old form.
 *
 * Error: too many arguments to function 'get_user_pages'
 */
#include "gup_legacy.h"

#undef get_user_pages

int driver_get(unsigned long start, struct page **pages);
int driver_get(unsigned long start, struct page **pages)
{
	return get_user_pages(current, current->mm, start, 1, 1, 0, pages, NULL);
}
