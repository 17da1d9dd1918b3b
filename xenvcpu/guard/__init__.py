# SPDX-License-Identifier: MIT
"""The guard: a second process that holds the pause of a domain, and outlives the first.

A program that is killed in the middle of a start cannot unpause the domain any more. So
the pause is not its own: its guard takes it, on request, and the two share a `Journal` that says
how far they have come. When one of them dies, the other one knows what is left to do:

- the program dies: its guard puts back what was captured, if the domain was being touched, and unpauses;
- the guard dies: the program goes on, and unpauses itself.

Only the program that is killed together with its guard leaves a domain paused.
"""
