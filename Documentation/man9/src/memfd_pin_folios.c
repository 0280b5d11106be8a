// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

/* The bytes of the pinned folios, from the one at start on. */
loff_t example_pinned(struct file *memfd, loff_t start, loff_t end,
		      struct folio **folios, unsigned int max)
{
	pgoff_t offset;		/* of start in the first folio */
	loff_t bytes = 0;
	long i, nr;

	nr = memfd_pin_folios(memfd, start, end, folios, max, &offset);
	if (nr < 0)
		return nr;

	for (i = 0; i < nr; i++)
		bytes += folio_size(folios[i]);
	bytes -= offset;

	unpin_folios(folios, nr);
	return bytes;
}
