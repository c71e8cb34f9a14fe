"""`qmpi bench`: how fast state vectors are on this machine. Uses `qmpi.StateVector` as any program would."""
