"""Versions of the ledger's tables."""

VERSION = "4"  # of `schema`
NEXT = {"1": "2", "2": "3", "3": "4"}  # what `store` upgrades to what: these differ in new tables and columns only
