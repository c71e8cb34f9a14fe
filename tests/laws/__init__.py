"""Laws that need ranks: every file runs under `mpiexec -n N python -m pytest --with-mpi tests/laws`, for any N."""
