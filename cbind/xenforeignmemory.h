/* SPDX-License-Identifier: MIT */
/* libxenforeignmemory: pages of another domain. SONAME 1 since Xen 4.7. */

typedef struct xenforeignmemory_handle xenforeignmemory_handle;

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger, unsigned int open_flags);
int xenforeignmemory_close(xenforeignmemory_handle *fmem);
void *xenforeignmemory_map(
    xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages, const xen_pfn_t *arr, int *err);
int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages);
