"""Volumes and regions moved, cut, grown and registered."""
