// The table of kernels of one instruction set. CMake compiles this file once per set, with QMPI_ISA naming the namespace, so that
// nothing compiled for one machine is ever linked into what must run on another. It does not know which set is chosen
// (dispatch.cc).
#include "kernels/kernels.h"

#include "kernels/dense.h"
#include "kernels/grow.h"
#include "kernels/pauli.h"
#include "kernels/permute.h"
#include "kernels/reduce.h"

namespace qmpi::QMPI_ISA {

template <class Real>
const Kernels<Real>& table() {
  static constexpr Kernels<Real> kernels{
      single<Real>,  swap<Real>,    block<Real>,          pauli<Real>,       weights<Real>, expectation<Real>,
      join<Real>,    project<Real>, project_parity<Real>, join_parity<Real>, gather<Real>,
  };
  return kernels;
}

template const Kernels<float>& table<float>();
template const Kernels<double>& table<double>();

}  // namespace qmpi::QMPI_ISA
