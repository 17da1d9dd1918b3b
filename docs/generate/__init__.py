# SPDX-License-Identifier: MIT
"""Pages made from what the code knows: commands, context files, rules, exit codes; for `man` and for the site."""
