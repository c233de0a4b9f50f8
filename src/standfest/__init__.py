"""Standfest: high availability for Linux."""

__version__ = "0.1.0"
