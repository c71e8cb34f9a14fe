// A circuit: gates on bits as the planner sees them. Adding a gate writes it as one of a few kinds of action and merges it with what
// came before where that costs nothing: matrices on the same qubits are multiplied, exchanges of qubits become a change of labels,
// whatever is diagonal becomes factors. It knows no memory and no tiles.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "gates/gates.h"

namespace qmpi {

// A factor where all bits of `mask` are 1, or where an odd number of them is.
struct Term {
  Index mask;
  bool parity;
  Coefficient factor;
};

struct Action {
  enum class Kind : std::uint8_t {
    diagonal,  // terms
    single,    // a dense 2x2 matrix
    matrix,    // a matrix on one (with controls) or two targets
    flip,      // X under controls
    swap,      // exchange of two bits in memory
    pauli,     // exp(-i theta/2 P), X or Y on `dense`
    block,     // a matrix on three or more targets
  };
  Kind kind;
  std::uint8_t targets = 0;    // how many
  int target[2] = {-1, -1};
  Index controls = 0;
  Index dense = 0;             // bits it mixes
  Index diagonal = 0;          // bits that only choose what happens
  Index z = 0;                 // pauli
  double theta = 0;            // pauli
  std::uint32_t first = 0;     // in the list of terms, of matrix entries
  std::uint32_t count = 0;     // terms
  std::uint32_t bits = 0;      // block: in the list of bits
};

class Circuit {
 public:
  explicit Circuit(int n);
  // Qubit k is at bit layout[k].
  Circuit(int n, std::vector<int> layout);

  int n() const { return n_; }
  // One gate of the table on qubits; `controls` is not a mask of bits but of qubits.
  void add(Kind kind, std::span<const int> controls, std::span<const int> targets, const Coefficient* matrix, std::string_view paulis,
           double theta);
  // A row of the gate table by its code; what the call brings where the row has none: `matrix`, `paulis`.
  void add_row(int code, std::span<const double> parameters, std::span<const int> controls, std::span<const int> targets,
               const Coefficient* matrix, std::string_view paulis);
  // Brings qubit k to bit k.
  void restore_order();

  // What node number `node` does of these actions: bit b is now at place[b], and places from `local_bits` on are bits of the node's number.
  // None of the actions mixes bits that are at such places.
  Circuit localised(std::span<const int> actions, std::span<const int> place, int local_bits, Index node, Coefficient scalar) const;

  std::span<const Action> actions() const { return actions_; }
  std::span<const Term> terms(const Action& action) const { return {terms_.data() + action.first, action.count}; }
  const Coefficient* matrix(const Action& action) const { return entries_.data() + action.first; }
  std::span<const int> bits(const Action& action) const { return {block_bits_.data() + action.bits, action.targets}; }
  Coefficient scalar() const { return scalar_; }
  const std::vector<int>& layout() const { return layout_; }
  bool empty() const { return actions_.empty() && scalar_ == 1.0; }
  void clear();  // keeps the layout
  std::size_t size() const { return actions_.size(); }

 private:
  void single(int bit, const Coefficient* u);
  void controlled(Index controls, int bit, const Coefficient* u);
  void pair(int a, int b, Index controls, const Coefficient* u);
  void pauli(std::span<const int> bits, std::string_view letters, double theta);
  void block(std::span<const int> bits, Index controls, const Coefficient* u);
  void flip(Index controls, int bit);
  bool diagonal_matrix(std::span<const int> bits, Index controls, const Coefficient* u);
  void diagonal(std::initializer_list<Term> terms);
  Action& push(const Action& action);
  std::uint32_t keep(const Coefficient* entries, std::size_t count);
  int last(int bit) const { return last_[bit]; }
  bool absorbed(int bit, const Coefficient* u);
  void drop(int action);

  int n_;
  std::vector<int> layout_;
  std::vector<Action> actions_;
  std::vector<int> last_;  // action that came last on a bit, -1 if none, or none that matters
  std::vector<Term> terms_;
  std::vector<Coefficient> entries_;
  std::vector<int> block_bits_;
  std::vector<int> scratch_;
  Coefficient scalar_ = 1.0;
};

}  // namespace qmpi
