"""Runs a scan: compiles programmes, keeps devices and workers busy, and hands what they measure to a store."""
