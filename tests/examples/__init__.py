"""The examples as tests: each runs under mpiexec on several rank counts, and what it prints is checked."""
