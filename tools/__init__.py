"""What contributors and CI run; not part of the package."""
