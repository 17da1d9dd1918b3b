/* SPDX-License-Identifier: MIT */
/* libxenstore: names of domains. SONAME 3.0 up to Xen 4.15, 4 since; these calls are the same. */

typedef uint32_t xs_transaction_t;
struct xs_handle;

struct xs_handle *xs_open(unsigned long flags);
void xs_close(struct xs_handle *xsh);
void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len); /* free() it */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num); /* free() it */
