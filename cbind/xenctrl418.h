/* SPDX-License-Identifier: MIT */
/* libxenctrl: what it has from Xen 4.18 on. In a library of an older release the function is not there. */

int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info);
