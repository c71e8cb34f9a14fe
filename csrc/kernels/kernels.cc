// The table of kernels of one instruction set. CMake compiles this file once per set, with QMPI_ISA naming the namespace, so that
// nothing compiled for one machine is ever linked into what must run on another. It does not know which set is chosen
// (dispatch.cc).
#include "kernels/kernels.h"

#include "kernels/dense.h"
#include "kernels/grow.h"
#include "kernels/pauli.h"
#include "kernels/permute.h"
#include "kernels/reduce.h"
#include "kernels/tile.h"

namespace qmpi::QMPI_ISA {

template <class Real>
void run(Amplitude<Real>* psi, const Program& program, Index begin, Index end) {
  if (program.in_place) return run_in_place<Real>(psi, program, begin, end);
  if (program.tiled) return run_tiles<Real>(psi, program, begin, end);
  const Direct& direct = program.direct;
  const Coefficient* matrix = program.at<Coefficient>(direct.matrix);
  for (Share share{begin, program.chunks}; share.part < end; ++share.part) switch (direct.kind) {
      case DirectKind::single: single<Real>(psi, program.n, direct.targets[0], direct.controls, matrix, share); break;
      case DirectKind::swap: swap<Real>(psi, program.n, direct.targets[0], direct.targets[1], direct.controls, share); break;
      case DirectKind::block: block<Real>(psi, program.n, direct.targets, direct.count, direct.controls, matrix, share); break;
      case DirectKind::pauli: pauli<Real>(psi, program.n, direct.x, direct.z, direct.theta, share); break;
    }
}

template <class Real>
const Kernels<Real>& table() {
  static constexpr Kernels<Real> kernels{
      single<Real>,  swap<Real>,    block<Real>,          pauli<Real>,       run<Real>, tile_shape<Real>, observe_tile<Real>, weights<Real>, expectation<Real>,
      join<Real>,    project<Real>, project_parity<Real>, join_parity<Real>, gather<Real>,
  };
  return kernels;
}

template const Kernels<float>& table<float>();
template const Kernels<double>& table<double>();

}  // namespace qmpi::QMPI_ISA
