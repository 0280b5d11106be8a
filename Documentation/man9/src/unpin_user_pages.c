// SPDX-License-Identifier: GPL-2.0

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

struct example_buffer {
	struct sg_table sgt;		/* mapped for DMA */
	enum dma_data_direction dir;
	struct page **pages;		/* of pin_user_pages() */
	unsigned long nr_pages;
};

/* The device is done. What it may have written is dirty now. */
void example_release(struct device *dev, struct example_buffer *buf)
{
	bool dirty = buf->dir != DMA_TO_DEVICE;

	dma_unmap_sgtable(dev, &buf->sgt, buf->dir, 0);
	sg_free_table(&buf->sgt);
	unpin_user_pages_dirty_lock(buf->pages, buf->nr_pages, dirty);
	kvfree(buf->pages);
}
