"""The engine: the amplitudes of state vectors and what is done to them. It knows no MPI calls of the user and no gate names."""
