"""Requests and what they change, in words for people who review them. Pure."""
