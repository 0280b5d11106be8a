// SPDX-License-Identifier: GPL-2.0
/*
 * The mmap lock for writing by its old name.
 *
 * Error: gup_legacy.h: write mmap_write_lock(mm)
 */
#include "gup_legacy.h"

void driver_account(unsigned long nr_pages);
void driver_account(unsigned long nr_pages)
{
	down_write(&current->mm->mmap_sem);
	current->mm->total_vm += nr_pages;
	up_write(&current->mm->mmap_sem);
}
