"""Who the ranks are and what they share: the arena, and how it is found. The only door to mpi4py."""
