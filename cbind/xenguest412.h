/* SPDX-License-Identifier: MIT */
/* libxenguest of Xen 4.12 to 4.15: a domain's CPU policy in one call, which xenguest.h's four have replaced. */

int xc_get_domain_cpu_policy(
    xc_interface *xch, uint32_t domid, uint32_t *nr_leaves, xen_cpuid_leaf_t *leaves, uint32_t *nr_msrs,
    xen_msr_entry_t *msrs);
