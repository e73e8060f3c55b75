"""Billing: meters, runs, waste, periods, budgets and reports.

All of it is computed from what was seen, in whole numbers (`units`); nothing here reads a clock,
a file or the network, nor imports anything of `trainwave_exporter.ledger.storage`.
"""
