"""Runbell tells people how their dbt jobs ended."""

__version__ = "0.1.0"
