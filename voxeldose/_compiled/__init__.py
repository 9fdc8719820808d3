"""Loops on plain arrays, compiled by numba; they know no other room of the house."""
