"""The command line: `qmpi run` starts programs, `qmpi doctor` looks whether they could, `qmpi bench` how fast.

Calls the rooms below as a program would.
"""
