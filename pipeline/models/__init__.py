"""Frozen models of requests, facts, evidence and the documents that commands write."""
