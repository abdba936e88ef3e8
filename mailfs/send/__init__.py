"""Sending: marshal, rewrite, queue, smtp."""
