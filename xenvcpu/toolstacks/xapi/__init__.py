# SPDX-License-Identifier: MIT
"""XAPI (XenServer, XCP-ng): a host plugin.

The plugin speaks XAPI's convention itself, where others import the host's XenAPIPlugin: that lies in the system's
Python, which is older than ours (2.7, 3.6), so an interpreter of our own does not find it; it opens an XAPI
connection, which we need for nothing; and it replies with XML that XAPI cannot read when a text has a control
character in it. The convention is three replies, which have been the same since 2009.
"""
