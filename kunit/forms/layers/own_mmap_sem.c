// SPDX-License-Identifier: GPL-2.0
/*
 * A lock of the driver's own that has the old name, for writing.
 */
#define GUP_LEGACY_NO_MMAP_SEM
#include "gup_legacy.h"

struct driver {
	struct rw_semaphore mmap_sem;
	int maps;
};

void driver_map(struct driver *driver);
void driver_map(struct driver *driver)
{
	down_write(&driver->mmap_sem);
	driver->maps++;
	up_write(&driver->mmap_sem);
}
