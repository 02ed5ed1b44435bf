"""Tenants' Jobs: their objects, their terms, their moves."""
