// SPDX-License-Identifier: GPL-2.0

#include <linux/pagemap.h>
#include <linux/uaccess.h>

/* Copy where a page fault would need a lock that is held here. */
int example_copy(void *to, const char __user *from, size_t size,
		 spinlock_t *lock)
{
	size_t left;

	if (!access_ok(from, size))
		return -EFAULT;
	for (;;) {
		spin_lock(lock);
		pagefault_disable();
		left = __copy_from_user_inatomic(to, from, size);
		pagefault_enable();
		spin_unlock(lock);
		if (!left)
			return 0;
		if (fault_in_readable(from + size - left, left) == left)
			return -EFAULT;
	}
}
