"""The gates, by Qiskit's names and argument order: one row per gate, and from it the function to call.

A row is gate(name, summary, definition, inverse, angles of the inverse, decomposition). Its numbers come from
the compiled table; where the two could disagree, the import fails. The first qubit of a gate is the least
significant bit of its matrix index. `tests/unit/test_gates.py` proves every row.
"""

from math import pi

from qmpi.gates.shapes import (
    by_matrix,
    by_paulis,
    controlled,
    controlled_general,
    controlled_pair,
    controlled_rotation,
    general,
    many_controlled,
    many_controlled_rotation,
    one_qubit,
    pair,
    pair_rotation,
    rotation,
    twice_controlled,
)
from qmpi.gates.table import CORE_ROWS, TABLE, Gate, at, fixed, gate, half, matrix, minus_half, negated, same

# fmt: off
__all__ = [
    "TABLE", "Gate", "ccx", "ccz", "ch", "cp", "crx", "cry", "crz", "cswap", "csx", "cu", "cx", "cy", "cz",
    "ecr", "h", "id", "iswap", "matrix", "mcp", "mcx", "p", "pauli_rotation", "rx", "rxx", "ry", "ryy", "rz",
    "rzx", "rzz", "s", "sdg", "swap", "sx", "sxdg", "t", "tdg", "u", "unitary", "x", "y", "z",
]

# --- one qubit ----------------------------------------------------------------------------------------------

x = one_qubit(gate("x", "Pauli X, the bit flip.", "[[0, 1], [1, 0]]", "x",
    decomposition=[at("h", 0), at("z", 0), at("h", 0)]))
y = one_qubit(gate("y", "Pauli Y.", "[[0, -i], [i, 0]]", "y",
    decomposition=[at("sdg", 0), at("x", 0), at("s", 0)]))
z = one_qubit(gate("z", "Pauli Z, the phase flip.", "diag(1, -1)", "z",
    decomposition=[at("s", 0), at("s", 0)]))
h = one_qubit(gate("h", "Hadamard gate.", "[[1, 1], [1, -1]] / √2", "h"))
s = one_qubit(gate("s", "Phase gate S, the square root of Z.", "diag(1, i)", "sdg"))
sdg = one_qubit(gate("sdg", "Inverse of S.", "diag(1, -i)", "s",
    decomposition=[at("s", 0), at("z", 0)]))
t = one_qubit(gate("t", "T gate, the square root of S.", "diag(1, exp(i pi/4))", "tdg"))
tdg = one_qubit(gate("tdg", "Inverse of T.", "diag(1, exp(-i pi/4))", "t",
    decomposition=[at("t", 0), at("sdg", 0)]))
sx = one_qubit(gate("sx", "Square root of X.", "[[1+i, 1-i], [1-i, 1+i]] / 2", "sxdg",
    decomposition=[at("h", 0), at("s", 0), at("h", 0)]))
sxdg = one_qubit(gate("sxdg", "Inverse of the square root of X.", "[[1-i, 1+i], [1+i, 1-i]] / 2", "sx",
    decomposition=[at("h", 0), at("sdg", 0), at("h", 0)]))
id = one_qubit(gate("id", "Identity: nothing happens.", "diag(1, 1)", "id", decomposition=[]))

rx = rotation(gate("rx", "Rotation about X.", "exp(-i theta/2 X)", "rx", negated))
ry = rotation(gate("ry", "Rotation about Y.", "exp(-i theta/2 Y)", "ry", negated))
rz = rotation(gate("rz", "Rotation about Z.",
    "exp(-i theta/2 Z) = diag(exp(-i theta/2), exp(i theta/2))", "rz", negated))
p = rotation(gate("p", "Phase on |1⟩.", "diag(1, exp(i theta))", "p", negated))
u = general(gate("u", "General gate on one qubit.",
    "[[cos(theta/2), -exp(i lam) sin(theta/2)], [exp(i phi) sin(theta/2), exp(i (phi + lam)) cos(theta/2)]]",
    "u", lambda theta, phi, lam: (-theta, -lam, -phi), [
        at("p", 0, angles=lambda theta, phi, lam: (lam,)),
        at("ry", 0, angles=lambda theta, phi, lam: (theta,)),
        at("p", 0, angles=lambda theta, phi, lam: (phi,))]))

# --- two qubits, one of them a control ----------------------------------------------------------------------

cx = controlled(gate("cx", "X on the target where the control is 1.", "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ X", "cx"))
cy = controlled(gate("cy", "Y on the target where the control is 1.", "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ Y", "cy",
    decomposition=[at("sdg", 1), at("cx", 0, 1), at("s", 1)]))
cz = controlled(gate("cz", "Sign on |11⟩; control and target are alike.", "diag(1, 1, 1, -1)", "cz",
    decomposition=[at("h", 1), at("cx", 0, 1), at("h", 1)]))
ch = controlled(gate("ch", "H on the target where the control is 1.", "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ H", "ch",
    decomposition=[
        at("s", 1), at("h", 1), at("t", 1), at("cx", 0, 1), at("tdg", 1), at("h", 1), at("sdg", 1)]))
csx = controlled(gate("csx", "Square root of X on the target where the control is 1.",
    "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ √X", "cu", fixed(pi / 2, pi / 2, -pi / 2, -pi / 4),
    [at("h", 1), at("cp", 0, 1, angles=fixed(pi / 2)), at("h", 1)]))

cp = controlled_rotation(gate("cp", "Phase on |11⟩; control and target are alike.",
    "diag(1, 1, 1, exp(i theta))", "cp", negated, [
        at("p", 0, angles=half), at("p", 1, angles=half),
        at("cx", 0, 1), at("p", 1, angles=minus_half), at("cx", 0, 1)]))
crx = controlled_rotation(gate("crx", "Rotation about X of the target where the control is 1.",
    "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ exp(-i theta/2 X)", "crx", negated,
    [at("h", 1), at("crz", 0, 1, angles=same), at("h", 1)]))
cry = controlled_rotation(gate("cry", "Rotation about Y of the target where the control is 1.",
    "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ exp(-i theta/2 Y)", "cry", negated,
    [at("ry", 1, angles=half), at("cx", 0, 1), at("ry", 1, angles=minus_half), at("cx", 0, 1)]))
crz = controlled_rotation(gate("crz", "Rotation about Z of the target where the control is 1.",
    "|0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ exp(-i theta/2 Z)", "crz", negated,
    [at("rz", 1, angles=half), at("cx", 0, 1), at("rz", 1, angles=minus_half), at("cx", 0, 1)]))
cu = controlled_general(gate("cu", "General gate on the target, and a phase, where the control is 1.",
    "|0⟩⟨0| ⊗ 1 + exp(i gamma) |1⟩⟨1| ⊗ u(theta, phi, lam)",
    "cu", lambda theta, phi, lam, gamma: (-theta, -lam, -phi, -gamma), [
        at("p", 0, angles=lambda theta, phi, lam, gamma: (gamma + (lam + phi) / 2,)),
        at("p", 1, angles=lambda theta, phi, lam, gamma: ((lam - phi) / 2,)),
        at("cx", 0, 1),
        at("u", 1, angles=lambda theta, phi, lam, gamma: (-theta / 2, 0, -(phi + lam) / 2)),
        at("cx", 0, 1),
        at("u", 1, angles=lambda theta, phi, lam, gamma: (theta / 2, phi, 0))]))

# --- two qubits, two targets --------------------------------------------------------------------------------

swap = pair(gate("swap", "Exchange of two qubits.", "|a, b⟩ → |b, a⟩", "swap",
    decomposition=[at("cx", 0, 1), at("cx", 1, 0), at("cx", 0, 1)]))
iswap = pair(gate("iswap", "Exchange of two qubits with the phase i where they differ.",
    "exp(i pi/4 (X⊗X + Y⊗Y))", decomposition=[
        at("s", 0), at("s", 1), at("h", 0), at("cx", 0, 1), at("cx", 1, 0), at("h", 1)]))
ecr = pair(gate("ecr", "Echoed cross-resonance gate.", "(X⊗1 - Y⊗X) / √2", "ecr", decomposition=[
    at("rzx", 0, 1, angles=fixed(pi / 4)), at("x", 0), at("rzx", 0, 1, angles=fixed(-pi / 4))]))

rxx = pair_rotation(gate("rxx", "Rotation about X⊗X.", "exp(-i theta/2 X⊗X)", "rxx", negated,
    [at("h", 0), at("h", 1), at("rzz", 0, 1, angles=same), at("h", 0), at("h", 1)]))
ryy = pair_rotation(gate("ryy", "Rotation about Y⊗Y.", "exp(-i theta/2 Y⊗Y)", "ryy", negated,
    [at("sdg", 0), at("sdg", 1), at("rxx", 0, 1, angles=same), at("s", 0), at("s", 1)]))
rzz = pair_rotation(gate("rzz", "Rotation about Z⊗Z.", "exp(-i theta/2 Z⊗Z)", "rzz", negated,
    [at("cx", 0, 1), at("rz", 1, angles=same), at("cx", 0, 1)]))
rzx = pair_rotation(gate("rzx", "Rotation about Z⊗X, Z on the first qubit.",
    "exp(-i theta/2 Z⊗X)", "rzx", negated,
    [at("h", 1), at("rzz", 0, 1, angles=same), at("h", 1)]))

# --- three qubits -------------------------------------------------------------------------------------------

ccx = twice_controlled(gate("ccx", "Toffoli gate: X on the target where both controls are 1.",
    "|a, b, c⟩ → |a, b, c xor ab⟩", "ccx", decomposition=[
        at("h", 2), at("cx", 1, 2), at("tdg", 2), at("cx", 0, 2), at("t", 2), at("cx", 1, 2), at("tdg", 2),
        at("cx", 0, 2), at("t", 1), at("t", 2), at("h", 2),
        at("cx", 0, 1), at("t", 0), at("tdg", 1), at("cx", 0, 1)]))
ccz = twice_controlled(gate("ccz", "Sign on |111⟩; controls and target are alike.",
    "diag(1, 1, 1, 1, 1, 1, 1, -1)", "ccz", decomposition=[at("h", 2), at("ccx", 0, 1, 2), at("h", 2)]))
cswap = controlled_pair(gate("cswap", "Fredkin gate: exchange of two targets where the control is 1.",
    "|0, a, b⟩ → |0, a, b⟩, |1, a, b⟩ → |1, b, a⟩", "cswap",
    decomposition=[at("cx", 2, 1), at("ccx", 0, 1, 2), at("cx", 2, 1)]))

# --- as many qubits as the call gives -----------------------------------------------------------------------

mcx = many_controlled(gate("mcx", "X on the target where all controls are 1.",
    "|c, t⟩ → |c, t xor (c_1 c_2 … c_k)⟩", "mcx"))
mcp = many_controlled_rotation(gate("mcp", "Phase where all controls and the target are 1.",
    "diag(1, …, 1, exp(i theta))", "mcp", negated))
unitary = by_matrix(gate("unitary", "The gate of a unitary matrix.",
    "|j⟩ → Σ_i U[i, j] |i⟩, qubit k being bit k of i and j"))
pauli_rotation = by_paulis(gate("pauli_rotation", "Rotation about a Pauli string.",
    "exp(-i theta/2 P), where P is the product of the letters", "pauli_rotation", negated))
# fmt: on

if missing := CORE_ROWS.keys() - TABLE.keys():
    raise ImportError(f"qmpi.gates: rows of the compiled table without a Python function: {sorted(missing)}")
