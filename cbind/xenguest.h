/* SPDX-License-Identifier: MIT */
/*
 * libxenguest, which comes with libxenctrl and has its SONAME: a domain's CPU policy, Xen 4.16 to 4.22.
 * Up to 4.11 no library reads one; xenguest412.h is for those between.
 */

typedef struct xc_cpu_policy xc_cpu_policy_t;

xc_cpu_policy_t *xc_cpu_policy_init(void);
void xc_cpu_policy_destroy(xc_cpu_policy_t *policy);
int xc_cpu_policy_get_domain(xc_interface *xch, uint32_t domid, xc_cpu_policy_t *policy);
int xc_cpu_policy_serialise(
    xc_interface *xch, const xc_cpu_policy_t *policy, xen_cpuid_leaf_t *leaves, uint32_t *nr_leaves,
    xen_msr_entry_t *msrs, uint32_t *nr_msrs);
