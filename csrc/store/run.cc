#include "store/run.h"

#include <cstring>

namespace qmpi {
namespace {

template <class Real>
std::vector<ProgramText> plan_in(const Amplitudes& amplitudes, const Circuit& circuit, int workers, Tiling wanted) {
  static const Tiling best = best_tiling<Real>();
  const auto either = [](int bits, int otherwise) { return bits > 0 ? bits : otherwise; };
  const Tiling tiling{either(wanted.tile_bits, best.tile_bits), either(wanted.run_bits, best.run_bits),
                      either(wanted.chunk_bits, best.chunk_bits), either(wanted.near_bits, best.near_bits)};
  return make_plan<Real>(circuit, kernels<Real>(amplitudes.isa).tile_shape(), tiling, workers);
}

template <class Real>
void run_here(Arena& arena, const Amplitudes& amplitudes, const Program& program) {
  kernels<Real>(amplitudes.isa).run(arena.at<std::complex<Real>>(amplitudes.offset), program, 0, program.chunks);
}

}  // namespace

std::vector<ProgramText> plan_for(const Amplitudes& amplitudes, const Circuit& circuit, int workers, Tiling wanted) {
  return amplitudes.single_precision ? plan_in<float>(amplitudes, circuit, workers, wanted) : plan_in<double>(amplitudes, circuit, workers, wanted);
}

Task task_on(const Amplitudes& amplitudes, Task::Kind kind) {
  Task task;
  task.kind = kind;
  task.isa = amplitudes.isa;
  task.single_precision = amplitudes.single_precision;
  task.n = amplitudes.n;
  task.psi = amplitudes.offset;
  return task;
}

void run_program(Arena& arena, const Amplitudes& amplitudes, const ProgramText& text, Patience& patience) {
  const Program& program = text.program();
  if (program.chunks == 1) return amplitudes.single_precision ? run_here<float>(arena, amplitudes, program) : run_here<double>(arena, amplitudes, program);
  patience.give_way();
  const Lent lent(arena, static_cast<std::uint64_t>(program.bytes), patience);
  std::memcpy(arena.at<char>(lent.offset()), &program, static_cast<std::size_t>(program.bytes));
  Task task = task_on(amplitudes, Task::Kind::run);
  task.program = lent.offset();
  task.chunks = program.chunks;
  run_together(arena, task, patience);
}

}  // namespace qmpi
