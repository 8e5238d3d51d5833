"""Attacks on the setuid shim, carried out by ordinary accounts against an installed copy; each must fail and leave nothing."""
