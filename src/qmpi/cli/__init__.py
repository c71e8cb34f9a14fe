"""The command line: `qmpi run` starts programs, `qmpi doctor` looks whether they could. Calls the rooms below as a program would."""
