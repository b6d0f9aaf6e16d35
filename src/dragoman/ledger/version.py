"""Versions of the ledger's tables."""

VERSION = "3"  # of `schema`
NEXT = {"1": "2", "2": "3"}  # what `store` upgrades to what: these differ in new tables only
