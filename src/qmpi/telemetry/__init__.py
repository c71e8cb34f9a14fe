"""Readers of what a program does. The path from a call to the kernels does not know them."""
